"""The rooms' rules: imports go one way, and what is heavy stays out of the relay's main process."""

import ast
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LAYERS = ("relay", "analytics", "dashboard")
_PICKLES = {"pickle", "joblib", "shelve", "marshal"}


@dataclass(frozen=True)
class Source:
    """A file, parsed once: `imports` are the full names it asks for, `functions` the lines from first to last."""

    name: str
    lines: int
    imports: tuple[str, ...]
    functions: tuple[tuple[str, int], ...]

    @classmethod
    def of(cls, name: str, text: str) -> "Source":
        nodes = list(ast.walk(ast.parse(text)))
        functions = (node for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
        return cls(
            name,
            len(text.splitlines()),
            tuple(name for node in nodes for name in _imported(node)),
            tuple((node.name, (node.end_lineno or 0) - node.lineno) for node in functions),
        )


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [name.name for name in node.names]
    return [node.module or ""] if isinstance(node, ast.ImportFrom) else []


def upward(source: Source) -> list[str]:
    """What a file imports of a layer above its own."""
    above = LAYERS[LAYERS.index(source.name.split("/")[0]) + 1 :]
    return [name for name in source.imports if name.split(".")[0] in above]


def pickling(source: Source) -> list[str]:
    return [name for name in source.imports if name.split(".")[0] in _PICKLES]


def long_functions(source: Source) -> list[str]:
    return [name for name, lines in source.functions if lines >= 60]


@pytest.fixture(scope="module")
def sources() -> list[Source]:
    paths = [path for layer in LAYERS for path in sorted((ROOT / layer).rglob("*.py"))]
    return [Source.of(str(path.relative_to(ROOT)), path.read_text()) for path in paths]


def _offenders(sources: list[Source], look: Callable[[Source], list[str]]) -> dict[str, list[str]]:
    assert {source.name.split("/")[0] for source in sources} == set(LAYERS)  # the reading itself works
    return {source.name: found for source in sources if (found := look(source))}


def test_imports_go_down_only(sources: list[Source]) -> None:
    assert _offenders(sources, upward) == {}
    assert upward(Source.of("relay/low.py", "import os, dashboard.app\nfrom analytics import client")) == [
        "dashboard.app",
        "analytics",
    ]
    assert upward(Source.of("dashboard/high.py", "import dashboard.app\nfrom analytics import client")) == []


def test_nothing_is_pickled(sources: list[Source]) -> None:
    assert _offenders(sources, pickling) == {}
    assert pickling(Source.of("relay/low.py", "def f():\n    from pickle import loads\nimport json")) == ["pickle"]


def test_modules_stay_short(sources: list[Source]) -> None:
    assert {source.name: source.lines for source in sources if source.lines > 400} == {}


def test_functions_stay_short(sources: list[Source]) -> None:
    assert _offenders(sources, long_functions) == {}
    assert long_functions(Source.of("relay/low.py", "def f():\n" + "    x\n" * 60)) == ["f"]
    assert long_functions(Source.of("relay/low.py", "def f():\n" + "    x\n" * 59)) == []


def test_relay_loads_nothing_heavy_and_no_room_of_commands() -> None:
    script = "import relay.running.node, sys; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()

    assert not {"numpy", "pandas", "duckdb", "sklearn", "streamlit", "pyarrow", "scipy", "xml"} & set(loaded)
    commands = (
        "openapi",
        "importing",
        "installing",
        "panels",
        "sending",
        "cli",
        "running.supervisor",
        "running.cli",
        "backup.restoring",
    )
    assert not {f"relay.{name}" for name in commands} & set(loaded)
