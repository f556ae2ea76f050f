"""The notebooks run top to bottom on the demo's week of mail, and on an installation that has seen nothing yet."""

import asyncio
import json
import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import nbformat
import pytest
from click.testing import CliRunner
from nbclient import NotebookClient
from nbformat import NotebookNode

from analytics.client import QueryClient
from analytics.reputation.parts import refresh
from analytics.reputation.run import compute, compute_parts
from analytics.simulation.history import write_week
from analytics.simulation.samples import assess_samples
from analytics.simulation.world import make_world
from relay.cli import mailweir
from tests.analytics.test_service import Service, served
from tests.builders import ROOT, Installation, until

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))

# jupyter_client and its asynchronous socket warn about themselves; our own warnings are still errors in the kernel.
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.xdist_group("notebooks")]


@pytest.fixture(scope="module", params=["a week of mail", "nothing yet"])
def executed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[NotebookNode]:
    """All notebooks one after another in one kernel, each in a namespace of its own: kernels take longer than they."""
    folder = tmp_path_factory.mktemp("notebooks")
    installation = Installation(folder)
    installation.write(1, "", model="none")
    with pytest.MonkeyPatch.context() as patch, served(installation) as service:
        patch.setenv("MAILWEIR_CONFIG", str(installation.config))
        patch.setenv("PYTHONPATH", str(ROOT))
        patch.setenv("IPYTHONDIR", str(folder / "ipython"))
        patch.setenv("JUPYTER_RUNTIME_DIR", str(folder / "jupyter"))
        if request.param == "a week of mail":
            live_a_week(service)
        books = [nbformat.read(path, as_version=4) for path in NOTEBOOKS]  # type: ignore[no-untyped-call]
        whole = nbformat.v4.new_notebook()  # type: ignore[no-untyped-call]
        for path, book in zip(NOTEBOOKS, books, strict=True):
            for cell in book.cells:
                cell["metadata"]["of"], cell["metadata"]["on"] = path.stem, request.param
                cell.pop("id")
            book.cells.insert(0, nbformat.v4.new_code_cell("%reset -f"))  # type: ignore[no-untyped-call]
            whole.cells += book.cells
        resources = {"metadata": {"path": ROOT / "notebooks"}}
        yield NotebookClient(whole, timeout=120, kernel_name="python3", resources=resources).execute()


def live_a_week(service: Service) -> None:
    """The demo's history with a tenth of its mail, read in and judged."""
    world, now = make_world(1), datetime.now(UTC)
    few = world._replace(customers=tuple(replace(one, weekly=one.weekly // 10) for one in world.customers))
    samples = asyncio.run(assess_samples(few, "shipped", 1, now))
    written = write_week(service.settings.journal_dir, few, samples, now, 0.2)
    with service.client("admin") as client:
        until(lambda: is_ingested(client, written.files), 60, lambda: "not ingested")
    warehouse = service.running.warehouse  # the jobs would also tell a relay, and none runs here
    while refresh(warehouse, service.settings.policy, now):
        pass
    compute(warehouse, now)
    compute_parts(warehouse, now)


def is_ingested(client: QueryClient, files: int) -> bool:
    return bool(client.table("ingest").to_pylist()[0]["files"] >= files)


@pytest.mark.parametrize("name", [path.stem for path in NOTEBOOKS])
def test_notebook_runs_top_to_bottom_and_draws(executed: NotebookNode, name: str) -> None:
    outputs = outputs_of(executed, name)

    charts = [output for output in outputs if "vega" in output.get("data", {}).get("text/html", "")]
    assert len(charts) >= 5
    assert [output for output in outputs if output.get("name") == "stderr"] == []


@pytest.mark.parametrize("name", [path.stem for path in NOTEBOOKS if path.stem != "01_traffic"])
def test_notebook_ends_with_what_to_do(executed: NotebookNode, name: str) -> None:
    cells = [cell for cell in executed.cells if cell.metadata.get("of") == name]

    assert cells[-3].source.startswith("## What to do")
    assert cells[-2].outputs


def test_incident_is_the_demo_s_hijacked_mailbox(executed: NotebookNode) -> None:
    said = text_of(outputs_of(executed, "05_incident"))

    if "Nobody was stopped" in said:
        assert all(cell.metadata.get("on", "nothing yet") == "nothing yet" for cell in executed.cells)
        assert "Nothing happened." in said
    else:
        assert "waldstadt|" in said
        assert "It was confirmed." in said


def outputs_of(book: NotebookNode, name: str) -> list[NotebookNode]:
    chosen = [cell for cell in book.cells if cell.metadata.get("of") == name and cell.cell_type == "code"]
    return [output for cell in chosen for output in cell.outputs]


def text_of(outputs: list[NotebookNode]) -> str:
    return "\n".join(str(output.get("text", "")) for output in outputs)


def test_there_are_five_notebooks_and_they_keep_no_outputs() -> None:
    assert [path.stem[:2] for path in NOTEBOOKS] == ["01", "02", "03", "04", "05"]
    for path in NOTEBOOKS:
        book = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
        assert [cell for cell in book.cells if cell.cell_type == "code" and cell.outputs] == []


# ---- mailweir notebook ----


def test_command_lists_the_notebooks_with_their_titles() -> None:
    listed = CliRunner().invoke(mailweir, ["notebook", "ls", "--json"])

    titles = json.loads(listed.output)
    assert list(titles) == [path.stem for path in NOTEBOOKS]
    assert titles["05_incident"] == "One incident, from the first mail to the last"


def test_command_copies_one_and_keeps_what_was_changed(tmp_path: Path) -> None:
    asked = ["notebook", "reputation", "--to", str(tmp_path), "--no-open"]
    copy = tmp_path / "02_sender_reputation.ipynb"

    first = CliRunner().invoke(mailweir, asked)
    copy.write_text("mine")
    CliRunner().invoke(mailweir, asked)
    kept = copy.read_text()
    CliRunner().invoke(mailweir, [*asked, "--fresh"])

    assert first.output.split() == [str(copy)]
    assert kept == "mine"
    assert copy.read_bytes() == (ROOT / "notebooks" / copy.name).read_bytes()
    assert (tmp_path / "02_sender_reputation.bak.ipynb").read_text() == "mine"
    assert len(list(tmp_path.iterdir())) == 2


def test_command_says_which_notebooks_there_are(tmp_path: Path) -> None:
    answer = CliRunner().invoke(mailweir, ["notebook", "tea", "--to", str(tmp_path), "--no-open"])

    assert answer.exit_code == 1
    assert "there is no notebook 'tea'; there are: 01_traffic, 02_sender_reputation" in answer.output
    assert list(tmp_path.iterdir()) == []


def test_command_opens_jupyter_or_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("analytics.cli_notebook._JUPYTER", ("no_such_module",))
    without = CliRunner().invoke(mailweir, ["notebook", "01", "--to", str(tmp_path)])
    (tmp_path / "jupyter_of_a_test.py").write_text(
        "import os, pathlib, sys\n"
        "pathlib.Path(os.environ['ASKED']).write_text(sys.argv[1] + ' ' + os.environ['MAILWEIR_CONFIG'])\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), str(ROOT)]))
    monkeypatch.setenv("ASKED", str(tmp_path / "asked"))
    monkeypatch.setattr("analytics.cli_notebook._JUPYTER", ("jupyter_of_a_test",))

    opened = CliRunner().invoke(
        mailweir, ["--config", str(tmp_path / "x.toml"), "notebook", "01", "--to", str(tmp_path)]
    )

    assert "pip install jupyterlab" in without.output
    assert opened.exit_code == 0
    assert (tmp_path / "asked").read_text() == f"{tmp_path / '01_traffic.ipynb'} {tmp_path / 'x.toml'}"
