"""`mailweir demo --check` as a newcomer would call it, with a shorter calm, and what is left afterwards: nothing."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.xdist_group("demo"), pytest.mark.timeout(240)]

_START = [sys.executable, "-P", "-m", "relay.cli", "demo", "--check"]


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any], int]:
    """One story: its folder, its figures, its exit status."""
    folder = tmp_path_factory.mktemp("demo") / "here"
    done = subprocess.run(
        [*_START, "--dir", str(folder), "--calm", "8"], capture_output=True, text=True, timeout=150, check=False
    )
    lines = done.stdout.splitlines()
    assert len(lines) == 1, done.stderr
    return folder, json.loads(lines[0]), done.returncode


def test_the_story_goes_as_told(played: tuple[Path, dict[str, Any], int]) -> None:
    _, score, status = played

    # Other tests run beside this one: on their account the delays may differ, but nobody waits for long.
    assert set(score["problems"]) <= {"innocent messages were late"}
    assert score["p95_delay_with_s"] < 2
    assert (score["ok"], status) == ((True, 0) if not score["problems"] else (False, 1))
    assert score["abusive_delivered"] <= 15 < score["abusive_sent"]
    assert (score["innocents_held"], score["innocents_refused"]) == (0, 0)
    assert (score["lost"], score["duplicated"], score["warehouse_equal"]) == (0, 0, True)


def test_nothing_is_left_running(played: tuple[Path, dict[str, Any], int]) -> None:
    assert _processes_of(played[0]) == []


def test_a_second_story_hacks_another_site_and_an_interrupt_leaves_nothing_running(
    played: tuple[Path, dict[str, Any], int],
) -> None:
    folder, _, _ = played
    memory = json.loads((folder / "demo.json").read_text())
    again = _Running(folder)

    again.wait_for("is hacked")
    status = again.interrupt()

    assert status == 130
    assert _processes_of(folder) == []
    assert json.loads((folder / "demo.json").read_text())["runs"] == memory["runs"] + 1
    assert "web01@" not in again.text


class _Running:
    """A check that goes on; `text` is what it has said."""

    def __init__(self, folder: Path) -> None:
        self._process = subprocess.Popen(
            [*_START, "--dir", str(folder), "--calm", "1"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        self.text = ""

    def wait_for(self, words: str) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self.text += line
            if words in line:
                return
        raise AssertionError(f"it never said {words!r}: {self.text}")

    def interrupt(self) -> int:
        """Press Ctrl-C and read to the end."""
        assert self._process.stderr is not None
        self._process.send_signal(signal.SIGINT)
        self.text += self._process.stderr.read()
        self._process.stderr.close()
        return self._process.wait(60)


def _processes_of(folder: Path) -> list[str]:
    """Processes that were started for this demo: its settings stand in their environment."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            environment = path.read_bytes()
        except OSError:
            continue
        if os.fsencode(folder) in environment and int(path.parent.name) != os.getpid():
            found.append(path.parent.name)
    return found
