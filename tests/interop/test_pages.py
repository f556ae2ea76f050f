"""The pages of docs/integrations are whole: set-up, check, what users notice, the way back, what was tried."""

from pathlib import Path

import pytest

from tests.builders import ROOT
from tests.interop.pages import adapted, blocks

PAGES = sorted(path for path in (ROOT / "docs/integrations").glob("*.md") if path.stem != "README")
_SECTIONS = ("## Check", "## What the customer's users notice", "## Undo", "## Tested, and not")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_has_all_its_sections_in_order(page: Path) -> None:
    text = page.read_text()

    places = [text.index(section) for section in _SECTIONS]
    assert sorted(places) == places


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_block_of_a_page_says_where_it_belongs(page: Path) -> None:
    assert page.read_text().count("```") == 2 * len(blocks(page.name))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_readme_leads_to_the_page(page: Path) -> None:
    assert f"(docs/integrations/{page.name})" in (ROOT / "README.md").read_text()


def test_a_change_to_what_is_not_in_the_block_is_an_error() -> None:
    with pytest.raises(AssertionError, match="is not in the page's block"):
        adapted("port = 25\n", {"port = 26": "port = 27"})
