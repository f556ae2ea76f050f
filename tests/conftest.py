"""What all tests share."""

import gc
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import tests.light  # noqa: F401  before anything of ours is loaded
from tests import builders
from tests.forked import Forks

try:
    from xdist.scheduler import LoadGroupScheduling
except ImportError:  # without pytest-xdist there is one worker anyhow
    LoadGroupScheduling = object

# Tests that share what is slow to start, a file at a time; of a mail server's test also by the server.
_TOGETHER = re.compile(
    r"tests/(?:interop/test_next_hops|(?:interop/test_\w+|e2e/test_demo|analytics/test_notebooks)\.py)"
)
_SERVER = re.compile(r"\[(?:exim|postfix|cpanel|directadmin)\b")

ROOT = Path(__file__).resolve().parent.parent
builders.forks = Forks(ROOT)


def pytest_collection_finish() -> None:
    """What was loaded stays to the end: the collector need not walk through it again and again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _same_settings_afterwards() -> Iterator[None]:
    """`--config` of a command stands in the environment for what it starts; a test's must not stay for the next one."""
    before = os.environ.get("MAILWEIR_CONFIG")
    yield
    if before is None:
        os.environ.pop("MAILWEIR_CONFIG", None)
    else:
        os.environ["MAILWEIR_CONFIG"] = before


@pytest.fixture
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting stands in the environment, whoever runs the tests."""
    for name in [name for name in os.environ if name.startswith("MAILWEIR_")]:
        monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def corpora() -> Path:
    """The folder of real mail, bounces and reports; skips where it is absent."""
    folder = Path(os.environ.get("MAILWEIR_CORPORA", ROOT.parent / "shared" / "corpora"))
    if not (folder / "README.md").exists():
        pytest.skip(f"no corpora at {folder}; set MAILWEIR_CORPORA")
    return folder


class _Together(LoadGroupScheduling):  # type: ignore[misc]
    """Gives tests that belong together to one worker; xdist 3.8's own marks have no effect with pytest 9.2."""

    def _split_scope(self, nodeid: str) -> str:
        file, server = _TOGETHER.match(nodeid), _SERVER.search(nodeid)
        return f"{file[0]}{server[0] if server else ''}" if file else str(super()._split_scope(nodeid))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    return _Together(config, log) if config.getvalue("dist") == "loadgroup" else None


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of a Chromium for the browser test; skips where there is none."""
    path = os.environ.get("MAILWEIR_CHROMIUM") or shutil.which("chromium") or ""
    if not path or not Path(path).exists():
        pytest.skip("no Chromium: apt install chromium, or set MAILWEIR_CHROMIUM to its path")
    return path
