"""The manual's pages: their shell blocks, inline code, links and headings."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
DOCS = ROOT / "docs"
_FENCE = re.compile(r"^```([^\n`]*)\n(.*?)^```$", re.M | re.S)
_SPAN = re.compile(r"`([^`\n]+(?:\n[^`\n]+)?)`")
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_COMMAND = re.compile(r"(?:^|(?<=[\s;&|(/]))mailweir[ \t]+(?!--[ \t])[^\n]*?(?=[ \t]+&&|;|$)", re.M)


@dataclass(frozen=True, slots=True)
class Page:
    """One document. `path` is relative to the repository; `text` as it stands."""

    path: str
    text: str

    def blocks(self) -> list[tuple[str, str]]:
        """Return (what stands behind the fence, content) of every block."""
        return [(found[1].strip(), found[2]) for found in _FENCE.finditer(self.text)]

    def spans(self) -> list[str]:
        """Return all inline code, on one line each."""
        return [" ".join(found[1].split()) for found in _SPAN.finditer(self._prose())]

    def links(self) -> list[str]:
        """Return the targets of all links and pictures that lead into the repository."""
        return [one for one in _LINK.findall(self._prose()) if not re.match(r"[a-z]+:", one)]

    def anchors(self) -> set[str]:
        """Return the names of its headings, as GitHub makes them."""
        return {_anchor(found) for found in re.findall(r"^#+ (.+)$", self._prose(), re.M)}

    def command_lines(self) -> list[str]:
        """Return every call of mailweir, of blocks and of inline code."""
        blocks = [text.replace("\\\n", " ") for kind, text in self.blocks() if kind.partition(" ")[0] in _SHELLS]
        found = [line for text in blocks for line in _COMMAND.findall(text)]
        return found + [span for span in self.spans() if span.startswith("mailweir ")]

    def runnable(self) -> list[str]:
        """Return the blocks that are marked to be run, in their order."""
        return [text for kind, text in self.blocks() if kind == "sh run"]

    def _prose(self) -> str:
        return _FENCE.sub("", self.text)


_SHELLS = {"", "sh", "bash", "console", "text", "ini"}


def pages() -> list[Page]:
    """Return README, what .github says, and all of docs/."""
    return [Page(str(path.relative_to(ROOT)), path.read_text()) for path in _paths()]


def _paths() -> Iterator[Path]:
    yield ROOT / "README.md"
    yield from sorted((ROOT / ".github").glob("*.md"))
    yield from sorted(DOCS.rglob("*.md"))


def _anchor(heading: str) -> str:
    plain = re.sub(r"\[([^\]]*)\]\([^)]*\)|`", lambda found: found[1] or "", heading)
    return re.sub(r"[^\w\- ]", "", plain.strip().lower()).replace(" ", "-")
