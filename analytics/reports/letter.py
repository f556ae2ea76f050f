"""A mail that came in, cut into its parts: all that is looked at before anybody knows what it is.

Only headers are given to the standard library's parser (compat32), parts are cut here: it would parse the returned
message too, which is most of a report and of no interest, and its time grows with nesting times length. Time and memory
are linear in the size of the mail, whatever it holds; nothing is raised. Must never look into a message/rfc822 part:
its parts are those of another mail (a forwarded bounce is no bounce).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from email.errors import MessageError
from email.header import decode_header
from email.message import Message
from email.parser import BytesHeaderParser
from email.policy import compat32
from functools import cached_property
from itertools import islice

_MAX_HEADER_BYTES, _MAX_HEADER_LINES = 65_536, 1_000
_MAX_VALUE = 2_000  # the parser of parameters is quadratic in their number
_MAX_DEPTH = 8
_MAX_PARTS = 200
_BLANK = re.compile(rb"\r?\n\r?\n")
_BOUNDARY = re.compile(rb"^--([^\s-][^\r\n]{0,69}|-{1,40}[^\s-][^\r\n]{0,40}?)[ \t]*\r?$", re.MULTILINE)
_PARSER = BytesHeaderParser(policy=compat32)


@dataclass(frozen=True)
class Part:
    """A leaf of a mail: `type` in lower case, `body` as it came, still encoded for transfer."""

    type: str
    headers: Message
    body: bytes

    @cached_property
    def content(self) -> bytes:
        """The body without its transfer encoding."""
        return _uncoded(self.headers, self.body)

    def text(self, limit: int = 65_536) -> str:
        """The first `limit` bytes as text with LF line ends; bytes that fit no charset are read as Latin-1."""
        cut = _uncoded(self.headers, self.body[: 4 * limit])[:limit]
        return decoded(cut, str(_parameter(self.headers, "charset"))).replace("\r\n", "\n").replace("\r", "\n")

    @property
    def filename(self) -> str:
        return unfolded(_parameter(self.headers, "filename", "Content-Disposition") or _parameter(self.headers, "name"))


@dataclass(frozen=True)
class Letter:
    """A mail: its headers and its leaves in order. `type` is that of the whole, in lower case."""

    type: str
    headers: Message
    parts: tuple[Part, ...]
    raw: bytes

    def header(self, name: str) -> str:
        return header(self.headers, name)

    def parameter(self, name: str) -> str:
        """A parameter of the Content-Type of the whole, in lower case."""
        return _parameter(self.headers, name).lower()

    def of_type(self, *types: str) -> list[Part]:
        return [part for part in self.parts if part.type in types]


def open_letter(raw: bytes) -> Letter:
    """Cut a mail into its parts, an mbox's From line aside."""
    if raw.startswith((b"From ", b">From ")):
        raw = raw.partition(b"\n")[2]
    raw = raw.lstrip(b"\r\n")
    headers, begin = _head(raw, 0, len(raw))
    parts = tuple(islice(_leaves(raw, headers, begin, len(raw), 0), _MAX_PARTS))
    return Letter(_type(headers), headers, parts, raw)


def split(raw: bytes) -> tuple[Message, bytes]:
    """Return the headers and the body of a mail or a part."""
    headers, begin = _head(raw, 0, len(raw))
    return headers, raw[begin:]


def header(headers: Message, name: str) -> str:
    """Return a header's value in one line, decoded; "" without it."""
    return unfolded(headers.get(name, ""))


def unfolded(value: object) -> str:
    text = " ".join(str(value)[:_MAX_VALUE].split())
    if "=?" not in text:
        return text
    try:
        return "".join(
            piece if isinstance(piece, str) else decoded(piece, charset or "ascii")
            for piece, charset in decode_header(text)
        )
    except (ValueError, MessageError):  # base64 that is none
        return text


def decoded(content: bytes, charset: str) -> str:
    """Return bytes as text; a charset that is unknown or does not fit is replaced by UTF-8, then Latin-1."""
    for name in (charset, "utf-8"):
        try:
            return content.decode(name)
        except (LookupError, ValueError):
            continue
    return content.decode("latin-1")


def _uncoded(headers: Message, body: bytes) -> bytes:
    encoding = header(headers, "Content-Transfer-Encoding").lower()
    if encoding not in ("quoted-printable", "base64", "x-uuencode", "uuencode"):
        return body
    carrier = Message(policy=compat32)
    carrier["Content-Transfer-Encoding"] = encoding
    carrier.set_payload(body.decode("latin-1"))
    content = carrier.get_payload(decode=True)
    return content if isinstance(content, bytes) else body


def _head(raw: bytes, begin: int, end: int) -> tuple[Message, int]:
    """The headers of what stands from `begin` to `end`, and where its body begins."""
    if raw.startswith((b"\n", b"\r\n"), begin):
        return Message(policy=compat32), raw.index(b"\n", begin) + 1
    blank = _BLANK.search(raw, begin, end)
    stop, body = (blank.start(), blank.end()) if blank else (end, end)
    lines = raw[begin : min(stop, begin + _MAX_HEADER_BYTES)].split(b"\n", _MAX_HEADER_LINES)[:_MAX_HEADER_LINES]
    return _PARSER.parsebytes(b"\n".join(lines)), body


def _leaves(raw: bytes, headers: Message, begin: int, end: int, depth: int) -> Iterator[Part]:
    """The leaves of what stands from `begin` to `end`, each copied once: mails are as large as inboxes take them."""
    kind, boundary = _type(headers), _parameter(headers, "boundary").encode("latin-1", "replace")
    if kind.startswith("multipart/") and not boundary and (line := _BOUNDARY.search(raw[begin : begin + 4096])):
        boundary = line[1]  # its parameter stood on a line that was not folded
    if not kind.startswith("multipart/") or not boundary or depth >= _MAX_DEPTH:
        yield Part(kind, headers, raw[begin:end])
        return
    line_of = re.compile(rb"^--" + re.escape(boundary) + rb"(?=--|[ \t]*(?:\r?\n|\Z))", re.MULTILINE)
    lines = list(islice(line_of.finditer(raw, begin, end), _MAX_PARTS))
    if not lines:  # a broken mail, of which the text may still say something
        yield Part("text/plain", headers, raw[begin:end])
        return
    if preamble := raw[begin : lines[0].start()].strip():
        yield Part("x-preamble", Message(), preamble)
    for line, following in zip(lines, [*[line.start() for line in lines[1:]], end], strict=True):
        if raw.startswith(b"--", line.end()):
            return
        stop = _before_line_end(raw, following) if following < end else end
        start = min(raw.find(b"\n", line.end(), stop) + 1 or stop, stop)
        inner, body = _head(raw, start, stop)
        yield from _leaves(raw, inner, min(body, stop), stop, depth + 1)


def _before_line_end(raw: bytes, at: int) -> int:
    """The line end before a boundary is the boundary's (RFC 2046 5.1.1)."""
    return at - 2 if raw.startswith(b"\r\n", at - 2) else at - 1


def _type(headers: Message) -> str:
    value = header(headers, "Content-Type").partition(";")[0].strip().lower()
    return value if "/" in value else "text/plain"


def _parameter(headers: Message, name: str, of: str = "Content-Type") -> str:
    value = str(headers.get(of, ""))
    if not value:
        return ""
    carrier = Message(policy=compat32)
    carrier["X"] = value[:_MAX_VALUE].replace("\r", " ").replace("\n", " ")
    found = carrier.get_param(name, "", header="X")
    if isinstance(found, tuple):  # RFC 2231
        return decoded(found[2].encode("latin-1", "replace"), found[0] or "ascii")
    return str(found).strip()
