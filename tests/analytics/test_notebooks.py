"""The notebooks run top to bottom on an installation with data, and on an empty one."""

from datetime import timedelta
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from analytics.client import QueryClient
from relay.clock import SystemClock
from relay.events import Action
from tests.analytics.records import Story, traffic, write
from tests.analytics.test_service import served
from tests.builders import ROOT, Installation, until

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))

# jupyter_client and its asynchronous socket warn about themselves; our own warnings are still errors in the kernel.
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.xdist_group("notebooks")]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: str(path.name))
@pytest.mark.parametrize("messages", [2000, 0], ids=["a week of mail", "nothing yet"])
def test_notebook_runs_top_to_bottom(
    path: Path, messages: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installation = Installation(tmp_path)
    installation.write(1, "", model="none")
    monkeypatch.setenv("MAILWEIR_CONFIG", str(installation.config))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "jupyter"))
    book = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]

    with served(installation) as service:
        if messages:
            fill(service.settings.journal_dir, messages)
            with service.client("admin") as client:
                until(lambda: is_ingested(client), 20, lambda: "not ingested")
        NotebookClient(
            book, timeout=120, kernel_name="python3", resources={"metadata": {"path": path.parent}}
        ).execute()

    outputs = [output for cell in book.cells if cell.cell_type == "code" for output in cell.outputs]
    charts = [output for output in outputs if "vega" in output.get("data", {}).get("text/html", "")]
    assert len(charts) >= 5
    assert [output for output in outputs if output.get("name") == "stderr"] == []


def fill(journal: Path, messages: int) -> None:
    start = SystemClock().now() - timedelta(days=6)
    story = Story(boot="held", start=start)
    write(journal, "relay-mw1-a-00000001", traffic(messages, hours=140, start=start))
    write(journal, "relay-mw1-held-00000001", [story.reception(10**6, 60, action=Action.HOLD, score=0.97)])


def is_ingested(client: QueryClient) -> bool:
    return bool(client.table("ingest").to_pylist()[0]["files"] == 2)


def test_there_is_a_notebook_and_it_keeps_no_outputs() -> None:
    assert NOTEBOOKS
    for path in NOTEBOOKS:
        book = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
        assert [cell for cell in book.cells if cell.cell_type == "code" and cell.outputs] == []
