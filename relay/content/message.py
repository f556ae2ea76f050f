"""Any bytes to what a mail says: header fields, the texts shown, attachments, links. Bounded, never raises.

Own MIME splitting instead of the email package: parts are found by position, so that an attachment of 25 MB costs one
search and not 400,000 lines, and hostile nesting costs nothing.
"""

import binascii
import email.message
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from relay.content.attachments import Attachment, attachment
from relay.content.head import Head, split_head
from relay.content.html import Link, Page, read_page
from relay.content.text import decode_base64, decode_bytes, decode_header, fold
from relay.content.window import Content

_MAX_VALUE = 2000
_MAX_DEPTH = 8
_MAX_PARTS = 200
_MAX_TEXTS = 3  # of each kind, plain and HTML: a forwarded mail or two
_MAX_ENCODED_TEXT = 150_000  # bytes of a text part that are looked at: 50 MB of text cost no more than this
_MAX_TEXT = 60_000  # characters of text kept, over all parts of a kind
_MAX_LINKS = 300

_PARAMETER = re.compile(rb';\s*([\w.-]{1,40})\s*=\s*(?:"((?:[^"\\]|\\.){0,300})"|([^\s;"]{1,300}))')
_TYPE = re.compile(rb"\s*([\w.+-]{1,60})/([\w.+-]{1,60})")
_URL = re.compile(r"(?:https?://|www\.(?=\w))[^\s<>\"'()\[\]{}]{3,1000}", re.IGNORECASE)
_PAGE = re.compile(r"\s{0,200}<(?:!doctype\s+html|html[\s>])", re.IGNORECASE)  # sent as plain text by many a script
_MAILBOX = re.compile(r"^\s*(?:\"((?:[^\"\\]|\\.)*)\"|([^<>]*?))\s*<\s*([^<>\s@]+@[^<>\s@]+?)\s*>")
_ADDRESS = re.compile(r"[^\s<>(),;:\"@\[\]]+@[^\s<>(),;:\"@\[\]]+")


@dataclass(frozen=True, slots=True)
class Mailbox:
    """One address of a header, `domain` in lower case."""

    name: str = ""
    address: str = ""

    @property
    def domain(self) -> str:
        return self.address.rpartition("@")[2].lower().rstrip(".")


@dataclass(slots=True)
class Reading:
    """What a message says. Texts are folded (NFKC, no invisible characters, look-alikes of mixed words in Latin)."""

    head: Head
    subject: str = ""
    author: Mailbox = field(default_factory=Mailbox)
    reply_to: Mailbox = field(default_factory=Mailbox)
    plain: str = ""
    visible: str = ""
    html_length: int = 0
    page: Page = field(default_factory=Page)
    links: list[Link] = field(default_factory=list)
    attachments: list[Attachment] = field(default_factory=list)
    parts: int = 0
    shape: str = ""
    invisible_characters: int = 0
    mixed_script_words: int = 0
    texts: dict[str, int] = field(default_factory=lambda: {"plain": 0, "html": 0})

    @property
    def text(self) -> str:
        """What the recipient sees first: the HTML where there is some, then the plain text."""
        return f"{self.visible}\n{self.plain}" if self.visible else self.plain


def read(content: Content) -> Reading:
    """Read a whole message."""
    head = split_head(content)
    reading = Reading(head)
    reading.subject, invisible, mixed = fold(_text_of(head, b"subject"))
    reading.author, reading.reply_to = _mailbox(_text_of(head, b"from")), _mailbox(_text_of(head, b"reply-to"))
    reading.invisible_characters, reading.mixed_script_words = invisible, mixed
    reading.shape = _read_part(reading, content, head, len(content), 0)[:120]
    _find_links(reading)
    return reading


def mailboxes(value: str) -> list[str]:
    """All addresses in a header value."""
    return _ADDRESS.findall(value[:_MAX_VALUE])


def _text_of(head: Head, name: bytes) -> str:
    value = head.first(name)
    return "" if value is None else decode_header(value[:_MAX_VALUE])


def _mailbox(value: str) -> Mailbox:
    if match := _MAILBOX.match(value):
        return Mailbox((match[1] or match[2] or "").strip(), match[3])
    found = _ADDRESS.search(value)
    return Mailbox("", found[0]) if found else Mailbox(value[:200], "")


def _read_part(reading: Reading, content: Content, head: Head, end: int, depth: int) -> str:
    """Take in one part (a whole message is one) and return its shape."""
    reading.parts += 1
    declared = head.first(b"content-type") or b""
    match = _TYPE.match(declared)
    major, minor = (match[1].lower().decode(), match[2].lower().decode()) if match else ("text", "plain")
    if major == "multipart" and depth < _MAX_DEPTH:
        shapes = _read_parts(reading, content, head, end, _parameter(declared, b"boundary"), depth + 1)
        return f"{minor}({','.join(shapes)})"
    if (major, minor) == ("message", "rfc822") and depth < _MAX_DEPTH:
        inner = split_head(content, head.body_at, end)
        return f"rfc822({_read_part(reading, content, inner, end, depth + 1)})"
    disposition = (head.first(b"content-disposition") or b"").lstrip()[:10].lower()
    kind = {"plain": "plain", "html": "html"}.get(minor, "") if major == "text" else ""
    charset = _parameter(declared, b"charset")
    if kind and disposition != b"attachment" and _take_text(reading, kind, content, head, end, charset):
        return kind
    if kind == "" or disposition == b"attachment":
        _note_attachment(reading, content, head, f"{major}/{minor}", end)
    return minor


def _read_parts(reading: Reading, content: Content, head: Head, end: int, boundary: bytes, depth: int) -> list[str]:
    """Take in the parts of a multipart; where no line has its boundary, the text that readers show instead."""
    shapes: list[str] = []
    for start, stop in _sections(content, boundary, head.body_at, end):
        if reading.parts >= _MAX_PARTS:
            return shapes
        shapes.append(_read_part(reading, content, split_head(content, start, stop), stop, depth))
    if not shapes:
        _take_text(reading, "plain", content, head, end, b"")
    return shapes


def _sections(content: Content, boundary: bytes, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Where the parts between boundary lines lie; what follows an unclosed last boundary counts as a part."""
    if not boundary:
        return
    delimiter = b"--" + boundary
    begin, position = -1, start
    while (found := content.find(delimiter, position, end)) >= 0:
        position = found + len(delimiter)
        at_line_start = found == start or content[found - 2 : found] == b"\r\n"
        if not at_line_start or content[position : position + 1] not in (b"", b"\r", b" ", b"\t", b"-"):
            continue
        if begin >= 0:
            yield begin, max(begin, found - 2)
        if content.startswith(b"--", position):
            return
        line_end = content.find(b"\r\n", position, end)
        if line_end < 0:
            return
        begin = position = line_end + 2
        # the CRLF before the next delimiter may be the one that ends this line (an empty part)
        position = line_end
    if begin >= 0:
        yield begin, end


def _decoded(content: Content, head: Head, end: int) -> bytes:
    data = content[head.body_at : min(end, head.body_at + _MAX_ENCODED_TEXT)]
    match (head.first(b"content-transfer-encoding") or b"").strip().lower():
        case b"quoted-printable":
            return binascii.a2b_qp(data)
        case b"base64":
            return decode_base64(data)
        case _:
            return data


def _take_text(reading: Reading, kind: str, content: Content, head: Head, end: int, charset: bytes) -> bool:
    """Read a text unless there were enough of its kind; tell whether."""
    if reading.texts[kind] >= _MAX_TEXTS:
        return False
    reading.texts[kind] += 1
    _read_text(reading, kind, _decoded(content, head, end), charset)
    return True


def _read_text(reading: Reading, kind: str, data: bytes, charset: bytes) -> None:
    text = decode_bytes(data, charset.decode("ascii", "replace"))
    is_source = kind == "plain" and _PAGE.match(text) is not None
    if kind == "html" or is_source:
        kind = "html"
        reading.html_length += len(text)
        page = read_page(text, is_source=is_source)
        reading.page.links += page.links
        reading.page.images += page.images
        reading.page.inline_images += page.inline_images
        reading.page.forms += page.forms
        reading.page.hidden_characters += page.hidden_characters
        text = page.text
    text, invisible, mixed = fold(text)
    reading.invisible_characters += invisible
    reading.mixed_script_words += mixed
    if kind == "html":
        reading.visible = f"{reading.visible}\n{text}"[:_MAX_TEXT].lstrip("\n")
    else:
        reading.plain = f"{reading.plain}\n{text}"[:_MAX_TEXT].lstrip("\n")


def _note_attachment(reading: Reading, content: Content, head: Head, content_type: str, end: int) -> None:
    is_base64 = (head.first(b"content-transfer-encoding") or b"").strip().lower() == b"base64"
    reading.attachments.append(
        attachment(_file_name(head), content_type, content, head.body_at, end, is_base64=is_base64)
    )


def _file_name(head: Head) -> str:
    """The name by the standard library, which knows RFC 2231; it is rare enough to be allowed its price."""
    part = email.message.Message()
    for name in ("Content-Disposition", "Content-Type"):
        if value := head.first(name.lower().encode()):
            part[name] = decode_header(value[:_MAX_VALUE])
    try:
        return str(part.get_filename() or "")[:200]
    except (ValueError, LookupError, TypeError, IndexError):
        return ""


def _parameter(value: bytes, name: bytes) -> bytes:
    for match in _PARAMETER.finditer(value[:_MAX_VALUE]):
        if match[1].lower() == name:
            return match[2].replace(b"\\", b"") if match[2] is not None else match[3]
    return b""


def _find_links(reading: Reading) -> None:
    seen = {link.url for link in reading.page.links}
    reading.links = reading.page.links[:_MAX_LINKS]
    for text in (reading.plain, reading.visible):
        if "://" in text or "www." in text or "WWW." in text:
            for match in _URL.finditer(text):
                url = match[0].rstrip(".,;:!?*_")
                if url not in seen and len(reading.links) < _MAX_LINKS:
                    seen.add(url)
                    reading.links.append(Link(url))
