"""The configuration blocks of docs/integrations, so that what is tested is what people read."""

import re

from relay.panels import pages
from relay.panels.pages import Names, Panel
from tests.builders import ROOT
from tests.interop.servers import HOSTNAME, LOGIN, PASSWORD

_BLOCK = re.compile(r"^`([^`\n]+)`[^\n]*\n```\w*\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page: str) -> dict[str, str]:
    """Return the blocks of a page by what stands in backquotes at the start of the line above: a file or a section."""
    text = (ROOT / "docs" / "integrations" / page).read_text()
    return dict(_BLOCK.findall(text))


def snippet(panel: Panel, relay_port: int) -> dict[str, str]:
    """Return what `mailweir panel snippet PANEL --same-machine` gives for the relay of a test, by file or section."""
    names = Names("localhost", relay_port, "web1", LOGIN, HOSTNAME, PASSWORD, is_same_machine=True)
    return {block.place: block.text for block in pages.blocks(panel, names)}


def adapted(block: str, changes: dict[str, str]) -> str:
    """Return a block with this test's names and ports. What is to be changed must be there: the page may not drift."""
    for old, new in changes.items():
        assert old in block, f"{old!r} is not in the page's block:\n{block}"
        block = block.replace(old, new)
    return block
