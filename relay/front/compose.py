"""A message from fields: what an application means, as RFC 5322 with MIME. Pure; runs in a thread when it is large.

Header lines are mailbox.py's. Bodies are 7 bit whatever they hold, so that no next hop has to convert them. Attachments
stay in the base64 in which they came: decoding and encoding 18 MB takes 0.5 s (measured). Date and Message-ID are left
to the content stage, which adds them to every mail that has none.
"""

import binascii
import re
import secrets
from collections.abc import Iterator, Sequence
from email.utils import encode_rfc2231

import msgspec

from relay.front.canonical import HEADER_TOO_BIG
from relay.front.mailbox import Mailbox, clean, mailbox_header, other_header, parse_mailbox, text_header
from relay.reply import PermanentError, Reply

_FIELD_NAME = re.compile(r"[!-9;-~]{1,76}")
_TYPE = re.compile(r"[A-Za-z0-9!#$&^_.+-]{1,60}/[A-Za-z0-9!#$&^_.+-]{1,60}")
_PLAIN_NAME = re.compile(r"[A-Za-z0-9 ()\[\]!#$&+,;=@^_`{}~.-]{1,60}")
_OURS = re.compile(
    r"from|to|cc|bcc|reply-to|subject|mime-version|content-.*|received|return-path|dkim-signature|arc-.*"
    r"|resent-.*|delivered-to|x-mailweir-.*",
    re.IGNORECASE,
)
_pieces_of_name = re.compile(r"(?:%[0-9A-F]{2}|[^%]){1,24}").findall  # an encoded octet stays whole (RFC 2231)
_HEADERS_MAX = 100
_ATTACHMENTS_MAX = 100
_NAME_MAX = 255
_HEADER_MAX = 256 * 1024  # half of what front/data.py lets in; nothing else about a letter could be refused there
_has_short_lines = re.compile(rb"(?:[^\n]{0,999}\n)*+").fullmatch  # 998 octets and CR (RFC 5322 section 2.1.1)

_ENCODED_LINE = 76
_BLOCK = _ENCODED_LINE * 4096  # looked at in one go; between two the event loop gets its turn
_base64_block = re.compile(rb"[A-Za-z0-9+/]*").fullmatch
_base64_end = re.compile(rb"[A-Za-z0-9+/]*={0,2}").fullmatch


class File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An attachment; `content` in base64."""

    name: str
    content: str
    type: str = "application/octet-stream"


class Letter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of POST /v1/messages: a message in fields, or a finished one in `raw` (base64)."""

    from_: str = msgspec.field(name="from")
    to: str | list[str] = []
    cc: str | list[str] = []
    bcc: str | list[str] = []
    reply_to: str | list[str] = []
    subject: str = ""
    text: str | None = None
    html: str | None = None
    headers: dict[str, str] = {}
    attachments: list[File] = []
    envelope_from: str | None = None
    envelope_to: list[str] | None = None
    raw: str | None = None


def compose(letter: Letter, recipients: dict[str, list[Mailbox]]) -> tuple[bytes, bool]:
    """Return the message, and whether its header needs SMTPUTF8 (RFC 6531).

    `recipients` are those of To and Cc that are fit to be written. Raises PermanentError; its reply names the field.
    """
    people = {"From": [parse_mailbox(clean(letter.from_, "from"))], **recipients}
    if reply_to := listed(letter.reply_to):
        people["Reply-To"] = [parse_mailbox(clean(text, "reply_to")) for text in reply_to]
    head = [mailbox_header(name, mailboxes) for name, mailboxes in people.items() if mailboxes]
    head.append(text_header("Subject", clean(letter.subject, "subject")))
    head += _others(letter.headers)
    head.append("MIME-Version: 1.0\r\n")
    is_utf8 = any(not mailbox.address.isascii() for mailboxes in people.values() for mailbox in mailboxes)
    header = "".join(head).encode()
    if len(header) > _HEADER_MAX:
        raise PermanentError(HEADER_TOO_BIG)
    return header + _body(letter), is_utf8


def listed(texts: str | list[str]) -> list[str]:
    """Return one text or several as several."""
    return [texts] if isinstance(texts, str) else texts


def decoded(text: str, field: str) -> bytes:
    """Decode base64 with or without line breaks. Raises PermanentError."""
    return b"".join(binascii.a2b_base64(block) for block in _base64_blocks(text, field))


def _others(headers: dict[str, str]) -> Iterator[str]:
    if len(headers) > _HEADERS_MAX:
        raise PermanentError(Reply(554, "5.6.0", f"headers: at most {_HEADERS_MAX}"))
    for name, value in headers.items():
        if not _FIELD_NAME.fullmatch(name) or _OURS.fullmatch(name):
            raise PermanentError(Reply(554, "5.6.0", "headers: a name is malformed, or is not the client's to set"))
        yield other_header(name, clean(value, "headers"))


def _body(letter: Letter) -> bytes:
    texts = [("plain", "text", letter.text), ("html", "html", letter.html)]
    shown = [_text(subtype, text, field) for subtype, field, text in texts if text is not None]
    if len(letter.attachments) > _ATTACHMENTS_MAX:
        raise PermanentError(Reply(554, "5.6.0", f"attachments: at most {_ATTACHMENTS_MAX}"))
    if not shown and not letter.attachments:
        raise PermanentError(Reply(554, "5.6.0", "there is nothing in it: give text, html or attachments"))
    part = _multipart("alternative", shown) if len(shown) == 2 else b"".join(shown)
    if not letter.attachments:
        return part
    return _multipart("mixed", [*([part] if part else []), *(_attachment(file) for file in letter.attachments)])


def _multipart(subtype: str, parts: Sequence[bytes]) -> bytes:
    # Neither base64 nor quoted-printable can hold "=_" (RFC 2045 section 6.7), and nobody can guess the rest
    boundary = f"=_{secrets.token_hex(12)}".encode()
    pieces = [b'Content-Type: multipart/%s; boundary="%s"\r\n\r\n' % (subtype.encode(), boundary)]
    for part in parts:
        pieces += [b"--", boundary, b"\r\n", part, b"\r\n"]
    return b"".join([*pieces, b"--", boundary, b"--\r\n"])


def _text(subtype: str, text: str, field: str) -> bytes:
    if "\0" in text:
        raise PermanentError(Reply(554, "5.6.0", f"{field}: NUL is not allowed"))
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\n", "\r\n")
    data = (text if text.endswith("\r\n") else text + "\r\n").encode()
    if data.isascii() and _has_short_lines(data):
        encoding = b"7bit"
    else:
        encoding = b"quoted-printable"
        data = b"".join(binascii.b2a_qp(block, istext=True) for block in _line_blocks(data))
    return b"Content-Type: text/%s; charset=utf-8\r\nContent-Transfer-Encoding: %s\r\n\r\n%s" % (
        subtype.encode(),
        encoding,
        data,
    )


def _line_blocks(data: bytes) -> Iterator[bytes]:
    """Cut at line ends."""
    start = 0
    while start < len(data):
        end = data.find(b"\r\n", start + _BLOCK)
        end = len(data) if end < 0 else end + 2
        yield data[start:end]
        start = end


def _attachment(file: File) -> bytes:
    name = clean(file.name, "attachments.name").replace("/", "_").replace("\\", "_")
    if not name or len(name) > _NAME_MAX:
        raise PermanentError(Reply(554, "5.6.0", f"attachments.name: from 1 to {_NAME_MAX} characters"))
    if not _TYPE.fullmatch(file.type) or file.type.lower().startswith(("multipart/", "message/")):
        raise PermanentError(Reply(554, "5.6.0", "attachments.type: a media type that base64 may carry (RFC 2046)"))
    pieces = [
        f"Content-Type: {file.type}\r\nContent-Transfer-Encoding: base64\r\n"
        f"Content-Disposition: attachment;\r\n {_file_name(name)}\r\n\r\n".encode()
    ]
    for block in _base64_blocks(file.content, "attachments.content"):
        pieces += [b"\r\n".join(block[at : at + _ENCODED_LINE] for at in range(0, len(block), _ENCODED_LINE)), b"\r\n"]
    return b"".join(pieces)


def _file_name(name: str) -> str:
    if _PLAIN_NAME.fullmatch(name):
        return f'filename="{name}"'
    encoded = encode_rfc2231(name, "utf-8")
    pieces = _pieces_of_name(encoded)
    if len(pieces) == 1:
        return f"filename*={encoded}"
    return ";\r\n ".join(f"filename*{number}*={piece}" for number, piece in enumerate(pieces))


def _base64_blocks(text: str, field: str) -> Iterator[bytes]:
    """Yield checked base64 in whole lines. Raises PermanentError."""
    data = text.encode().translate(None, b" \t\r\n")
    if len(data) % 4:
        raise PermanentError(_not_base64(field))
    for start in range(0, len(data), _BLOCK):
        block = data[start : start + _BLOCK]
        is_right = _base64_block if start + _BLOCK < len(data) else _base64_end
        if not is_right(block):
            raise PermanentError(_not_base64(field))
        yield block


def _not_base64(field: str) -> Reply:
    return Reply(554, "5.6.0", f"{field}: this is not base64")
