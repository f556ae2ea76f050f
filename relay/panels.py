"""How a server or panel is put behind this relay: the pages of docs/integrations with this relay's own names in them.

The blocks of those pages are tried in real mail servers by tests/interop; here only the examples' names are replaced.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

_PLACES = (
    Path(__file__).resolve().parent / "data" / "integrations",  # in the wheel
    Path(__file__).resolve().parent.parent / "docs" / "integrations",  # in the source tree
)
_BLOCK = re.compile(r"^```\w*\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Panel(StrEnum):
    """What there is a page for."""

    CPANEL = "cpanel"
    PLESK = "plesk"
    DIRECTADMIN = "directadmin"
    EXIM = "exim"
    POSTFIX = "postfix"


@dataclass(frozen=True, slots=True)
class Names:
    """What stands in for the examples. `server` is the customer's server's own host name.

    `password` "": the word SECRET stays, for whoever fills it in on the server.
    """

    host: str
    port: int
    account: str
    login: str
    server: str
    password: str = ""


@dataclass(frozen=True, slots=True)
class Block:
    """A piece of configuration, and the line that says where it goes (Markdown)."""

    where: str
    text: str


def guide(panel: Panel, names: Names) -> str:
    """Return the whole page, in Markdown: set-up, check, what users notice, the way back."""
    return _filled(page(panel), names)


def blocks(panel: Panel, names: Names) -> list[Block]:
    """Return what is to be pasted, in the order of the page."""
    text = guide(panel, names)
    found = []
    for match in _BLOCK.finditer(text):
        before = [line for line in text[: match.start()].splitlines() if line.strip()]
        found.append(Block(before[-1].rstrip(":") if before else "", match.group(1)))
    return found


def page(panel: Panel) -> str:
    """Return the page as it is in the documentation."""
    path = next((place / f"{panel.value}.md" for place in _PLACES if (place / f"{panel.value}.md").is_file()), None)
    if path is None:
        raise FileNotFoundError(f"the page {panel.value}.md is in none of {', '.join(map(str, _PLACES))}")
    return path.read_text()


def _filled(text: str, names: Names) -> str:
    """Replace the examples' names, the longer ones first.

    >>> _filled("[relay.example.net]:2587 srv1:SECRET", Names("mx.a.example", 587, "a", "a-1", "www.a.example"))
    '[mx.a.example]:587 a-1:SECRET'
    """
    for example, name in (
        (r"web1\\\.hosting\\\.example", re.escape(names.server)),  # in patterns of header_checks
        (r"web1\.hosting\.example", names.server),
        (r"relay\.example\.net", names.host),
        (r"\b2587\b", str(names.port)),
        (r"\bweb1\b", names.account),
        (r"\bsrv1\b", names.login),
        (r"\bSECRET\b", names.password or "SECRET"),
    ):
        text = re.sub(example, lambda _match, name=name: name, text)  # type: ignore[misc]
    return text
