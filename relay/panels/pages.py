"""How a server or panel is put behind this relay: the pages of docs/integrations with this relay's own names in them.

The blocks of those pages are tried in real mail servers by tests/interop; here only the examples' names are replaced.
"""

import re
from dataclasses import dataclass
from enum import StrEnum

from relay.panels.places import stored

_BLOCK = re.compile(r"^```\w*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_HOW_TO_FILL_IN = re.compile(r"\n`mailweir panel snippet .*?(?=\n\n)", re.DOTALL)
_QUOTED = re.compile(r"`([^`]+)`")
# What a relay on the server itself needs besides; the tests of tests/interop run with exactly these.
_SAME_MACHINE = (
    (r"^  route_list = .*$", "{0}\n  self = send"),
    (r"^  ignore_target_hosts = 127\.0\.0\.0/8\n", ""),
    (r"^relayhost = .*$", "{0}\nsmtp_host_lookup = native"),
)


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

    `password` "": the word SECRET stays, for whoever fills it in on the server. `is_same_machine`: relay and server
    share one machine.
    """

    host: str
    port: int
    account: str
    login: str
    server: str
    password: str = ""
    is_same_machine: bool = False


@dataclass(frozen=True, slots=True)
class Block:
    """A piece of configuration, and the line that says where it goes (Markdown)."""

    where: str
    text: str

    @property
    def place(self) -> str:
        """The file or section it belongs to: what stands first in backquotes."""
        found = _QUOTED.search(self.where)
        return found[1] if found else self.where

    @property
    def is_addition(self) -> bool:
        """Whether the file has other lines, which stay."""
        return "append" in self.where


def guide(panel: Panel, names: Names) -> str:
    """Return the whole page, in Markdown: set-up, check, what users notice, the way back."""
    return _filled(_HOW_TO_FILL_IN.sub("", stored(f"{panel.value}.md").read_text(), count=1), names)


def blocks(panel: Panel, names: Names) -> list[Block]:
    """Return what is to be pasted, in the order of the page."""
    text = guide(panel, names)
    found = []
    for match in _BLOCK.finditer(text):
        before = [line for line in text[: match.start()].splitlines() if line.strip()]
        found.append(Block(before[-1].rstrip(":") if before else "", match.group(1)))
    return found


def sections(text: str) -> dict[str, str]:
    """Return a page's parts by their headings: Check, What the customer's users notice, Undo, and so on.

    >>> sections("# A\\nfirst\\n## Undo\\ntake it out\\n")
    {'Undo': 'take it out'}
    """
    parts = re.split(r"^## (.*)\n", text, flags=re.MULTILINE)[1:]
    return {heading: body.strip() for heading, body in zip(parts[::2], parts[1::2], strict=True)}


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
    for pattern, changed in _SAME_MACHINE if names.is_same_machine else ():
        text = re.sub(pattern, lambda found, changed=changed: changed.format(found[0]), text, flags=re.MULTILINE)  # type: ignore[misc]
    return text
