"""DMARC reports that are nearly XML, made well-formed: what strict parsers refuse though every number in them is whole.

Seen in real reports: bytes that are no UTF-8, `<` and `&` unescaped in addresses, a missing last end tag, spaces before
the declaration, text behind the end, unknown entities. Only tags of the two schemas count, all others are text. Works
in pieces, in linear time. A report cut off inside a record is not mended: its numbers are not whole.
"""

import codecs
import re
from collections.abc import Iterable, Iterator

from analytics.reports.unpacking import Unreadable

# The elements of RFC 7489 appendix C and RFC 9990 section 3.1, and `identities` of an old draft.
_NAMES = (
    "feedback version report_metadata org_name email extra_contact_info report_id date_range begin end error generator "
    "policy_published domain version_published adkim aspf p sp np pct fo testing discovery_method extension record row "
    "source_ip count policy_evaluated disposition dkim spf reason type comment identifiers identities envelope_to "
    "envelope_from header_from auth_results selector result human_result scope"
).replace(" ", "|")
_TAG = rf"/?(?:[A-Za-z_][\w.-]{{0,63}}:)?(?:{_NAMES})(?:\s[^<>]{{0,2000}}|/)?>"
# What can be no token is escaped by these two at the speed of C; the loop below then meets tokens only.
_STRAY = re.compile(rf"<(?!{_TAG}|!--|!\[CDATA\[|![A-Za-z]|\?[^<>]{{0,2000}}\?>|[A-Za-z])", re.IGNORECASE)
_UNKNOWN = re.compile(rf"<(?=[A-Za-z])(?!{_TAG})", re.IGNORECASE)
_AMPERSAND = re.compile(r"&(?!(?:amp|lt|gt|quot|apos|#(?:[1-9]\d{1,6}|x[1-9A-Fa-f][0-9A-Fa-f]{1,5}));)", re.ASCII)
_TOKEN = re.compile(
    rf"<(?P<end>/?)(?:[A-Za-z_][\w.-]{{0,63}}:)?(?P<name>{_NAMES})(?P<rest>(?:\s[^<>]{{0,2000}}|/)?)>"
    r"|(?P<open><!--|<!\[CDATA\[)|(?P<doctype><![A-Za-z])|<\?[^<>]{0,2000}\?>|(?P<other><)|&#(?P<number>\w+);",
    re.IGNORECASE,
)
_CONTAINERS = [
    "feedback",
    "report_metadata",
    "date_range",
    "policy_published",
    "extension",
    "record",
    "row",
    "policy_evaluated",
    "reason",
    "identifiers",
    "identities",
    "auth_results",
    "dkim",
    "spf",
]
_MAX_TOKEN = 2_200  # characters: the longest that _TOKEN can match
_MAX_DEPTH = 16
_MAX_SLIPS = 20_000  # a `<` in each record of a large report
_BATCH = 65_536
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_DECLARED = re.compile(rb"""<\?xml[^>]{0,100}?encoding\s*=\s*["']([A-Za-z][\w.:-]{0,40})["']""")
_TEXT_CODECS = re.compile(r"utf-?8|us-ascii|ascii|latin|iso-?8859|windows-|cp\d|koi8|gb|big5|euc|shift|iso-2022", re.I)


def mended(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the report as well-formed UTF-8. Raises Unreadable where that would mean to guess."""
    mender, pending = _Mender(), ""
    for text in _decoded(pieces):
        pending += _NO_XML.sub("", text)
        if len(pending) >= _BATCH:
            # the last token may go on in the next piece
            at = max(pending.rfind(sign, len(pending) - _MAX_TOKEN) for sign in "<&")
            at = len(pending) if at < 0 else at
            done, rest = mender.mend(pending[:at])
            pending = rest + pending[at:]
            yield done.encode()
    done, _ = mender.mend(pending)
    yield (done + mender.end()).encode()


class _Mender:
    def __init__(self) -> None:
        self._stack: list[str] = []
        self._is_over = False
        self._slips = 0
        self._within = ""  # the end that is waited for: of a comment or of CDATA

    def mend(self, text: str) -> tuple[str, str]:
        """Return what is mended, and what must wait for more text: an end of a comment that may be cut in two."""
        text = self._escaped(text, _STRAY, "&lt;")
        text = self._escaped(text, _AMPERSAND, "&amp;")
        if self._stack:  # before, it says what the outermost element is
            text = self._escaped(text, _UNKNOWN, "&lt;")
        out: list[str] = []
        at = 0
        while at < len(text) and not self._is_over:
            if self._within:
                at = self._skip(text, at, out)
                if self._within:
                    break
                continue
            match = _TOKEN.search(text, at)
            stop = match.start() if match else len(text)
            if self._stack:
                out.append(text[at:stop])
            at = stop
            if match:
                out.append(self._token(match))
                at = match.end()
        return "".join(out), "" if self._is_over else text[at:]

    def end(self) -> str:
        """Close what a report may leave open: its outermost element, when the last record is whole."""
        if self._is_over:
            return ""
        if self._stack == ["feedback"] and not self._within:
            return "</feedback>"
        raise Unreadable(f"it is cut off inside {self._stack[-1]}" if self._stack else "there is no element feedback")

    def _escaped(self, text: str, stray: re.Pattern[str], escape: str) -> str:
        text, count = stray.subn(escape, text)
        self._slips += count
        if self._slips > _MAX_SLIPS:
            raise Unreadable(f"it is no XML, with more than {_MAX_SLIPS} slips")
        return text

    def _skip(self, text: str, at: int, out: list[str]) -> int:
        found = text.find(self._within, at)
        stop = max(at, len(text) - 2) if found < 0 else found
        if self._within == "]]>":
            out.append(text[at:stop].replace("<", "&lt;").replace(">", "&gt;"))
        if found < 0:
            return stop
        self._within = ""
        return found + 3

    def _token(self, match: re.Match[str]) -> str:
        if match["doctype"]:
            raise Unreadable("it has a DOCTYPE, which reports have no use for and attacks have")
        if opened := match["open"]:
            self._within = "-->" if opened == "<!--" else "]]>"
        if match["other"]:
            if not self._stack:
                raise Unreadable("the outermost element is not feedback")
            return "&lt;"
        if number := match["number"]:
            return _character(number) if self._stack else ""
        name = match["name"]
        return self._tag(name.lower(), bool(match["end"]), match["rest"].endswith("/")) if name else ""

    def _tag(self, name: str, is_end: bool, is_empty: bool) -> str:
        if is_end:
            return self._close(name)
        if not self._stack and name != "feedback":
            raise Unreadable(f"the outermost element is {name}, not feedback")
        # A leaf that nobody ended, as its end tag is damaged, ends where the next element begins.
        ended = self._close(self._stack[-1]) if self._stack and self._stack[-1] not in _CONTAINERS else ""
        if is_empty:
            return f"{ended}<{name}/>"
        if len(self._stack) >= _MAX_DEPTH:
            raise Unreadable(f"elements are nested more than {_MAX_DEPTH} deep")
        self._stack.append(name)
        return f"{ended}<{name}>"

    def _close(self, name: str) -> str:
        if name not in self._stack:
            return ""
        closed: list[str] = []
        while not closed or closed[-1] != name:
            closed.append(self._stack.pop())
        self._is_over = not self._stack
        return "".join(f"</{inner}>" for inner in closed)


def _character(number: str) -> str:
    code = int(number[1:], 16) if number[0] in "xX" else int(number)
    return f"&#{code};" if code < 0x110000 and not _NO_XML.match(chr(code)) else ""


def _decoded(pieces: Iterable[bytes]) -> Iterator[str]:
    decoder: codecs.IncrementalDecoder | None = None
    for piece in pieces:
        if decoder is None:
            decoder = codecs.getincrementaldecoder(_encoding(piece))("replace")
        yield decoder.decode(piece)
    if decoder is not None:
        yield decoder.decode(b"", True)


def _encoding(head: bytes) -> str:
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    if head.startswith((b"<\0", b"\0<")):
        return "utf-16-le" if head.startswith(b"<") else "utf-16-be"
    declared = _DECLARED.search(head[:500])
    name = declared[1].decode() if declared else "utf-8-sig"
    # A report that declares utf-16 and is not has been written by a program that copied the line.
    if not _TEXT_CODECS.match(name) or name.lower() in ("utf-8", "utf8"):
        return "utf-8-sig"
    try:
        codecs.getincrementaldecoder(name)
    except LookupError:
        return "utf-8-sig"
    return name
