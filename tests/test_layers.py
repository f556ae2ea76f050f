"""The rooms' rules: imports go one way, and what is heavy stays out of the relay's main process."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LAYERS = ("relay", "analytics", "dashboard")
SOURCES = [path for layer in LAYERS for path in sorted((ROOT / layer).rglob("*.py"))]


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_down_only(path: Path) -> None:
    layer = LAYERS.index(path.relative_to(ROOT).parts[0])
    above = [name for name in imported(path) if name.split(".")[0] in LAYERS[layer + 1 :]]

    assert above == []


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_is_pickled_and_modules_stay_short(path: Path) -> None:
    assert not {"pickle", "joblib", "shelve", "marshal"} & {name.split(".")[0] for name in imported(path)}
    assert len(path.read_text().splitlines()) <= 400


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_functions_stay_short(path: Path) -> None:
    functions = [
        node
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    long = [node.name for node in functions if (node.end_lineno or 0) - node.lineno >= 60]

    assert long == []


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
