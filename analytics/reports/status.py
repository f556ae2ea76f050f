"""The fields of a delivery status notification (RFC 3464), from its own part only. Must never guess: what a field does
not say stays "".

Seen in real reports and borne with: fields of one recipient torn apart by blank lines, Final-Recipient without a type,
two Diagnostic-Codes (the one of the remote server says more), addresses in brackets, comments behind the status, the
part labelled text/plain.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from email.message import Message

from analytics.reports.letter import Letter, decoded, header, split
from analytics.reports.report import Action

_TYPES = ("message/delivery-status", "message/global-delivery-status", "text/delivery-status")
_STATUS = re.compile(r"(?<![\d.])([245]\.\d{1,3}\.\d{1,3})(?![\d.])")
_BLOCKS = re.compile(rb"\n[ \t]*\n")
_FIRST = re.compile(rb"^(?:reporting-mta|(?:final|original)-recipient|arrival-date):", re.IGNORECASE | re.MULTILINE)
_FINAL = re.compile(rb"^final-recipient:", re.IGNORECASE | re.MULTILINE)
_BY_TYPE = re.compile(r"^\s*[\w.-]{1,40}\s*;\s*")
_XTEXT = re.compile(r"\+([0-9A-F]{2})")
_MAX_BYTES, _MAX_LINES, _MAX_ENTRIES = 262_144, 10_000, 1_000


@dataclass(frozen=True, slots=True)
class Entry:
    """What one group of per-recipient fields says."""

    final: str = ""
    original: str = ""
    action: Action | None = None
    status: str = ""
    diagnostic: str = ""


def read_status(letter: Letter) -> list[Entry]:
    """Return one entry per recipient; none when the mail has no status part, or one that names nobody."""
    entries: list[Entry] = []
    for part in letter.parts:
        if part.type in _TYPES or (part.type == "text/plain" and _is_mislabelled(letter, part.body)):
            content = b"\n".join(part.content[:_MAX_BYTES].replace(b"\r\n", b"\n").split(b"\n")[:_MAX_LINES])
            for block in _blocks(_fields_in(content)):
                _add(entries, _entry(block))
    return [entry for entry in entries if entry.final or entry.original][:_MAX_ENTRIES]


def address_of(value: str) -> str:
    """Return the bare address of `rfc822; <a@b>`, `a@b`, `rfc822;"x" <a@b> (comment)`."""
    value = _BY_TYPE.sub("", value).strip()
    if "<" in value and "@" in (inner := value.rpartition("<")[2].partition(">")[0]):
        value = inner
    value = value.partition(" (")[0].strip().strip("<>;,'").removeprefix("mailto:")
    value = value.split()[0] if value else ""
    return "" if value.startswith("@") or value.endswith(("@", "...")) else value


def status_in(text: str) -> str:
    """Return the first enhanced status code of a text; "" without one."""
    found = _STATUS.search(text)
    return found[1] if found else ""


def is_fields(content: bytes) -> bool:
    """Tell whether a status part is one, rather than words under its label."""
    return _FIRST.search(content[:4096]) is not None


def _is_mislabelled(letter: Letter, body: bytes) -> bool:
    """A status part labelled as text, or in a mail whose own header has lost that it has parts."""
    if letter.type not in ("multipart/report", "text/plain"):
        return False
    head = body[:8192].lower()
    return b"\nfinal-recipient:" in head and b"\naction:" in head


def _fields_in(text: bytes) -> bytes:
    """The status part of a mail that has lost its parts: from its first field to the next boundary."""
    first = _FIRST.search(text)
    return re.split(rb"\n--", text[first.start() :], maxsplit=1)[0] if first else b""


def _blocks(content: bytes) -> Iterator[bytes]:
    """Groups of fields; a second recipient begins another, blank line or not."""
    for block in _BLOCKS.split(content)[: 2 * _MAX_ENTRIES]:
        finals = [one.start() for one in _FINAL.finditer(block)]
        starts = [0, *finals[1:]] if len(finals) > 1 else [0]
        for begin, end in zip(starts, [*starts[1:], len(block)], strict=True):
            yield block[begin:end].strip(b"\n")


def _add(entries: list[Entry], entry: Entry) -> None:
    """A block without a recipient belongs to the one before it."""
    if entry.final or entry.original or not entries:
        entries.append(entry)
        return
    last = entries[-1]
    entries[-1] = replace(
        last,
        action=last.action or entry.action,
        status=last.status or entry.status,
        diagnostic=last.diagnostic or entry.diagnostic,
    )


def _entry(block: bytes) -> Entry:
    headers, _ = split(block)
    # a block of text that is no fields at all has none of these
    diagnostics = [decoded(_bytes(value), "utf-8") for value in headers.get_all("Diagnostic-Code", [])]
    final, original = (_plain(headers, name) for name in ("Final-Recipient", "Original-Recipient"))
    action = header(headers, "Action").lower().partition(" ")[0].strip(";(")
    return Entry(
        final=address_of(final) or address_of(_plain(headers, "X-Actual-Recipient")),
        original=_XTEXT.sub(lambda found: chr(int(found[1], 16)), address_of(original)),
        action=Action(action) if action in tuple(Action) else None,
        status=status_in(header(headers, "Status")),
        diagnostic=_BY_TYPE.sub("", " ".join(max(diagnostics, key=_weight, default="").split())),
    )


def _plain(headers: Message, name: str) -> str:
    """An address stands as it is: what looks like an encoded word is its local part."""
    return " ".join(str(headers.get(name, ""))[:2_000].split())


def _weight(diagnostic: str) -> tuple[bool, int]:
    return diagnostic.lower().lstrip().startswith("smtp"), min(len(diagnostic), 2_000)


def _bytes(value: object) -> bytes:
    return str(value)[:4_000].encode("ascii", "surrogateescape")[:4_000] if isinstance(value, str) else _raw(value)


def _raw(value: object) -> bytes:
    """compat32 wraps a header with 8-bit bytes into a Header; its text has them as surrogates."""
    return str(value)[:4_000].encode("utf-8", "replace")
