"""What a person needs to see of a held message: its headers, and the beginning of its first text. Pure."""

import email
from email.message import Message

_TEXT_LENGTH = 2000
_HEADERS = 200


def headers_and_text(content: bytes) -> tuple[list[str], str]:
    r"""Read the beginning of a message: its header lines, unfolded, and its first text part up to 2,000 characters.

    >>> headers_and_text(b"Subject: a\r\n b\r\n\r\nhello\r\n")
    (['Subject: a b'], 'hello\n')
    """
    message = email.message_from_bytes(content)  # compat32: lenient, and 6 times faster than policy.default
    headers = [f"{name}: {' '.join(str(value).split())}" for name, value in message.items()]
    return headers[:_HEADERS], _first_text(message)[:_TEXT_LENGTH]


def _first_text(message: Message) -> str:
    for part in message.walk():
        if part.get_content_maintype() != "text" or part.get_content_disposition() == "attachment":
            continue
        payload = part.get_payload(decode=True)
        if isinstance(payload, bytes) and payload.strip():
            return _decoded(payload, part.get_content_charset() or "utf-8").replace("\r\n", "\n")
    return ""


def _decoded(payload: bytes, charset: str) -> str:
    try:
        return payload.decode(charset, "replace")
    except (LookupError, ValueError):  # a charset nobody knows
        return payload.decode("utf-8", "replace")
