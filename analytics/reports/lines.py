"""Who failed, in reports without a status part: read from the lines people see, by the readers of lines.toml."""

import importlib.resources
import re
import tomllib
from dataclasses import dataclass
from functools import cache
from typing import Any

from analytics.reports.phrases import linear

_MAX_TEXT, _MAX_FOUND = 32_768, 500
# words that stand where an address does: the relay itself, and who to ask
_NOT_A_RECIPIENT = re.compile(
    r"^(?:mailer-daemon|postmaster|postmast|mdaemon|abuse|listserv|no-?reply)@", re.IGNORECASE
)
_OF_SENDER = re.compile(
    r"[\s>*-]*(?:mail from|from|sender|reply-to|return-path|cc|contact|postmaster)\b[^@]*:", re.IGNORECASE
)
_INLINE = re.compile(
    r"(?:\bto|\bfor|recipients?|user(?:id)?|mailbox|address(?:es)?|account|\ban?|à|para|aan|do|для|адрес\w*)"
    r"[ \t\n:=]{1,3}[\"'<(\[]{0,2}"
    r"([^\s<>()\[\]:;,\"'@]{1,64}@[^\s<>()\[\]:;,\"'@]{1,255}\.[^\s<>()\[\]:;,\"'@.]{2,24})",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Found:
    """A recipient, the address it was made from ("" when the text names none), and what is said of it."""

    address: str
    original: str
    said: str


@dataclass(frozen=True, slots=True)
class _Reader:
    id: str
    mark: Any  # patterns of RE2
    after: Any
    until: Any
    recipient: Any
    domain: str


def read_lines(text: str, head: str) -> tuple[str, list[Found]]:
    """Return the id of the reader that knew the text, and whom it found; ("", []) when none did.

    head: From: and Subject:, which name many systems. Reads the first 32 KB.
    """
    text = "\n".join(line.rstrip(" \t") for line in text[:_MAX_TEXT].split("\n"))
    for reader in _readers():
        if (reader.mark.search(head) or reader.mark.search(text)) and (found := _read(reader, text)):
            return reader.id, found
    found = [Found(address, "", text) for address in dict.fromkeys(_INLINE.findall(text)) if is_recipient(address)]
    return ("inline", found[:1]) if found else ("", [])


def is_recipient(address: str) -> bool:
    """Tell whether an address can be one that mail was sent to, rather than one to write to about it."""
    return "@" in address and not _NOT_A_RECIPIENT.match(address) and not address.endswith((".", "@"))


def _read(reader: _Reader, text: str) -> list[Found]:
    begin = 0
    if reader.after and (one := reader.after.search(text)):
        begin = one.end()
    stop = reader.until.search(text, begin) if reader.until else None
    end = stop.start() if stop else len(text)
    hits = [hit for hit in reader.recipient.finditer(text, begin, end) if _has_address(hit, reader)][:_MAX_FOUND]
    found: dict[str, Found] = {}
    for hit, following in zip(hits, [*[hit.start() for hit in hits[1:]], end], strict=bool(hits)):
        groups = hit.groupdict()
        said = " ".join(
            part for part in (groups.get("r") or "", groups.get("d") or "", text[hit.end() : following]) if part
        )
        address, original = _address(groups, reader), groups.get("o") or ""
        before = found.get(address.lower())  # systems say an address again, before the reply about it
        if before is not None:
            original, said = before.original or original, f"{before.said} {hit[0]} {said}"
        found[address.lower()] = Found(before.address if before else address, original, said[:2_000])
    return list(found.values())


def _has_address(hit: re.Match[str], reader: _Reader) -> bool:
    return is_recipient(_address(hit.groupdict(), reader)) and not _OF_SENDER.match(hit[0])


def _address(groups: dict[str, str | None], reader: _Reader) -> str:
    address = groups["a"] or groups.get("o") or ""
    return f"{address}@{reader.domain}" if address and reader.domain and "@" not in address else address


@cache
def _readers() -> tuple[_Reader, ...]:
    source = importlib.resources.files("analytics.reports").joinpath("lines.toml").read_text("utf-8")
    return tuple(
        _Reader(
            id=row["id"],
            mark=linear(row["mark"]),
            after=linear(row["from"]) if "from" in row else None,
            until=linear(row["until"]) if "until" in row else None,
            recipient=linear(row["recipient"]),
            domain=row.get("domain", ""),
        )
        for row in tomllib.loads(source)["reader"]
    )
