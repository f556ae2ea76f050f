"""The manual's blocks that are marked `sh run` run as they stand, page after page, on one installation."""

from pathlib import Path

from tests.manual.pages import DOCS, Page, pages
from tests.manual.running import Shell, relay_of, shell

QUICK_START = "docs/quick-start.md"


def _page(path: str) -> Page:
    return next(page for page in pages() if page.path == path)


def _run(found: Shell, page: Page, blocks: list[str]) -> str:
    done = found.run(blocks)
    assert done.returncode == 0, f"{page.path}: a block that is marked to be run failed:\n{done.stdout[-3000:]}"
    return done.stdout


def test_every_block_that_is_marked_runs(tmp_path: Path) -> None:
    first = _page(QUICK_START)
    kinds = [kind for kind, _ in first.blocks()]
    before = [kind for kind in kinds[: kinds.index("sh up")] if kind == "sh run"]
    blocks = first.runnable()

    with shell(tmp_path) as found:
        _run(found, first, blocks[: len(before)])
        with relay_of(found):
            told = _run(found, first, blocks[len(before) :])
            rest = [page for page in pages() if page.path != QUICK_START and page.runnable()]
            for page in rest:
                _run(found, page, page.runnable())

    assert "taken by the sandbox" in told
    assert "trying it out" in told
    assert rest  # more pages than the first have such blocks


def test_a_block_that_fails_is_seen(tmp_path: Path) -> None:
    with shell(tmp_path) as found:
        done = found.run(["mailweir nonsense", "echo reached"])

    assert done.returncode != 0
    assert "reached" not in done.stdout


def test_marks_are_spelled_right() -> None:
    known = {"sh run", "sh up"}
    marked = {(page.path, kind) for page in pages() for kind, _ in page.blocks() if kind.startswith("sh ")}

    assert {(path, kind) for path, kind in marked if kind not in known} == set()
    assert [path for path, kind in marked if kind == "sh up"] == [
        str((DOCS / "quick-start.md").relative_to(DOCS.parent))
    ]
