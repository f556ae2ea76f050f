"""DMARC aggregate reports (RFC 7489 appendix C, RFC 9990, older drafts) from XML, read as a stream.

expat reads; what it refuses but is whole is mended first (mending.py). A DOCTYPE is refused before anything in it is
looked at, so there are no entities to expand and nothing is fetched. Names count without namespace and case.
"""

import re
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, TypeVar, cast
from xml.parsers import expat

from analytics.reports.dmarc_report import DmarcReport, Record, Result
from analytics.reports.mending import mended
from analytics.reports.unpacking import Document, Unreadable

MAX_COUNT = 10**12  # messages of one record; the sum over all of a report still fits 64 bits
MAX_RECORDS = 100_000  # ten times the largest report seen
_MAX_RESULTS = 300_000  # of DKIM and SPF in all records
_MAX_ELEMENTS = 1_000  # within one record, or one of the other sections
_MAX_DEPTH = 16
_MAX_TOKEN_BYTES = 1_048_576  # expat holds a tag or comment whole, and reads it again with each piece
_MAX_TEXT, _MAX_LEAF = 255, 8_192
_LATEST_UNIX = 4_102_444_800  # the year 2100
_NUMBER = re.compile(r"\+?(\d{1,15})(\.\d{1,9})?", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")

_T = TypeVar("_T")
Node = dict[str, Any]  # element -> list of texts and nodes


def read_dmarc(document: Document) -> DmarcReport:
    """Read one report. Raises Unreadable with the reason."""
    try:
        return _Reader().read(document.pieces())
    except (expat.ExpatError, LookupError, ValueError) as error:
        why = str(error)
    try:
        return _Reader(mended=why).read(mended(document.pieces()))
    except (expat.ExpatError, LookupError, ValueError) as error:
        raise Unreadable(f"it is no XML: {why}; mended, still {error}") from None


class _Reader:
    """Feeds expat and turns each section into a value as soon as it ends, so that nothing of the tree is kept."""

    def __init__(self, mended: str = "") -> None:
        self._mended = mended
        self._names: dict[str, str] = {}
        self._seen: dict[Any, Any] = {}  # equal texts and results of many records, kept once
        self._stack: list[tuple[str, Node]] = []
        self._depth = self._elements = self._results = self._others = 0
        self._text: list[str] = []
        self._length = 0
        self._sections: dict[str, Node] = {}
        self._records: list[Record] = []

    def read(self, pieces: Iterable[bytes]) -> DmarcReport:
        parser = expat.ParserCreate()
        parser.buffer_text = True
        parser.StartElementHandler, parser.EndElementHandler = self._start, self._end
        parser.CharacterDataHandler = self._characters
        parser.StartDoctypeDeclHandler = parser.EntityDeclHandler = _refuse_doctype
        fed = 0
        for piece in pieces:
            parser.Parse(piece, False)
            fed += len(piece)
            if fed - parser.CurrentByteIndex > _MAX_TOKEN_BYTES:
                raise Unreadable(f"a tag or comment is longer than {_MAX_TOKEN_BYTES >> 20} MiB")
        parser.Parse(b"", True)
        return self._report()

    def _start(self, tag: str, _attributes: dict[str, str]) -> None:
        name = self._names.get(tag)
        if name is None:
            name = tag.rpartition(":")[2].lower()[:_MAX_TEXT]
            if len(self._names) < _MAX_ELEMENTS:
                self._names[tag] = name
        self._depth += 1
        if self._depth == 1 and name != "feedback":
            raise Unreadable(f"the outermost element is {name}, not feedback")
        if self._depth > _MAX_DEPTH:
            raise Unreadable(f"elements are nested more than {_MAX_DEPTH} deep")
        if self._depth == 2:
            self._elements = 0
        self._elements += 1
        if self._elements > _MAX_ELEMENTS and self._depth > 1:
            raise Unreadable(f"more than {_MAX_ELEMENTS} elements in one section")
        self._text.clear()
        self._length = 0
        self._stack.append((name, {}))

    def _characters(self, text: str) -> None:
        if self._length < _MAX_LEAF:
            self._text.append(text[: _MAX_LEAF - self._length])
            self._length += len(text)

    def _end(self, _tag: str) -> None:
        name, node = self._stack.pop()
        self._depth -= 1
        if self._depth == 1:
            self._section(name, node)
        elif self._depth > 1:
            value: str | Node = node or self._once(_clean("".join(self._text)))
            self._stack[-1][1].setdefault(name, []).append(value)
        self._text.clear()
        self._length = 0

    def _section(self, name: str, node: Node) -> None:
        if name == "record":
            if len(self._records) >= MAX_RECORDS:
                raise Unreadable(f"more than {MAX_RECORDS} records")
            self._records.append(self._record(node))
            return
        self._others += 1
        if self._others > _MAX_ELEMENTS:
            raise Unreadable(f"more than {_MAX_ELEMENTS} sections that are no records")
        if name in ("report_metadata", "policy_published"):
            self._sections.setdefault(name, node)

    def _record(self, node: Node) -> Record:
        row = _node(node, "row")
        evaluated = _node(row, "policy_evaluated")
        identifiers, results = _node(node, "identifiers") or _node(node, "identities"), _node(node, "auth_results")
        number = len(self._records) + 1
        return Record(
            source_ip=_text(row, "source_ip"),
            count=_count(_text(row, "count"), number),
            disposition=_text(evaluated, "disposition").lower(),
            dkim=_text(evaluated, "dkim").lower(),
            spf=_text(evaluated, "spf").lower(),
            reasons=self._reasons(evaluated),
            header_from=_text(identifiers, "header_from").lower(),
            envelope_from=_text(identifiers, "envelope_from").lower(),
            envelope_to=_text(identifiers, "envelope_to").lower(),
            dkim_results=self._auth(results, "dkim", "selector"),
            spf_results=self._auth(results, "spf", "scope"),
        )

    def _reasons(self, evaluated: Node) -> tuple[tuple[str, str], ...]:
        if "reason" not in evaluated:
            return ()
        return self._once(
            tuple((_text(reason, "type"), _text(reason, "comment")) for reason in _nodes(evaluated, "reason"))
        )

    def _auth(self, results: Node, method: str, where: str) -> tuple[Result, ...]:
        if method not in results:
            return ()
        found = tuple(
            Result(_text(result, "domain").lower(), _text(result, where), _text(result, "result").lower())
            for result in _nodes(results, method)
        )
        self._results += len(found)
        if self._results > _MAX_RESULTS:
            raise Unreadable(f"more than {_MAX_RESULTS} results of DKIM and SPF")
        return self._once(found)

    def _once(self, value: _T) -> _T:
        if len(self._seen) > 20_000:
            self._seen.clear()
        return cast(_T, self._seen.setdefault(value, value))

    def _report(self) -> DmarcReport:
        metadata, policy = (self._sections.get(name) for name in ("report_metadata", "policy_published"))
        if metadata is None or policy is None:
            raise Unreadable(f"it has no {'report_metadata' if metadata is None else 'policy_published'}")
        begin, end = (_instant(_text(_node(metadata, "date_range"), name), name) for name in ("begin", "end"))
        if end < begin:
            raise Unreadable(f"it ends ({end}) before it begins ({begin})")
        if not self._records:
            raise Unreadable("it has no record")
        return DmarcReport(
            org=_text(metadata, "org_name"),
            email=_text(metadata, "email"),
            report_id=_required(metadata, "report_id"),
            domain=_required(policy, "domain").lower(),
            begin_unix=begin,
            end_unix=end,
            policy=tuple((tag, _text(policy, tag)) for tag in policy if tag != "domain" and _text(policy, tag)),
            errors=tuple(text for text in metadata.get("error", ()) if isinstance(text, str))[:20],
            records=tuple(self._records),
            mended=self._mended,
        )


def _refuse_doctype(*_: object) -> None:
    raise Unreadable("it has a DOCTYPE, which reports have no use for and attacks have")


def _clean(text: str) -> str:
    text = text.strip()
    if len(text) > _MAX_TEXT:
        text = text[:_MAX_TEXT]
    return text if text.isprintable() else _CONTROL.sub(" ", text)


def _nodes(node: Node, name: str) -> Iterator[Node]:
    return (value for value in node.get(name, ()) if isinstance(value, dict))


def _node(node: Node, name: str) -> Node:
    for value in node.get(name, ()):
        if isinstance(value, dict):
            return value
    return {}


def _text(node: Node, name: str) -> str:
    values = node.get(name)
    return values[0] if values and isinstance(values[0], str) else ""


def _required(node: Node, name: str) -> str:
    if value := _text(node, name):
        return value
    raise Unreadable(f"it has no {name}")


def _count(text: str, number: int) -> int:
    match = _NUMBER.fullmatch(text)
    if match is None or int(match[1]) > MAX_COUNT or float(match[2] or 0):
        raise Unreadable(f"record {number} counts {text[:40]!r} messages")
    return int(match[1])


def _instant(text: str, name: str) -> float:
    """Seconds since 1970: a whole number stays one, `1337270400.0` a fraction; also RFC 3339, which a few write."""
    if match := _NUMBER.fullmatch(text):
        value = float(text) if match[2] else int(match[1])
    else:
        try:
            value = int(datetime.fromisoformat(text).timestamp())
        except (ValueError, OverflowError):
            raise Unreadable(f"{name} of date_range is {text[:40]!r}, not seconds since 1970") from None
    if not 0 < value < _LATEST_UNIX:
        raise Unreadable(f"{name} of date_range is {text[:40]!r}, which is no time of mail")
    return value
