"""A content as it goes out after 354: dots stuffed, CRLF at its end, a large one in pieces."""

from collections.abc import Iterator

from relay.spool.stored import StoredContent

_PIECE_BYTES = 128 * 1024
_FEW_DOTS = 32
_HEADER_BYTES = 512 * 1024  # front/canonical.py lets no longer header in


def stuffed(content: bytes) -> bytes:
    """Double the dot at the start of a line, and end with CRLF (RFC 5321 section 4.5.2)."""
    at = content.find(b"\r\n.")
    if at >= 0:
        content = _doubled(content, at)
    if content.startswith(b"."):  # the prefix before it ends with CRLF
        content = b"." + content
    return content if content.endswith(b"\r\n") or not content else content + b"\r\n"


def _doubled(content: bytes, at: int) -> bytes:
    # as in front/canonical.py: replace() counts before it copies, which takes as long again
    pieces: list[bytes] = []
    start = 0
    while at >= 0 and len(pieces) < _FEW_DOTS:
        pieces.append(content[start : at + 3])
        start = at + 2
        at = content.find(b"\r\n.", start)
    rest = content[start:]
    pieces.append(rest.replace(b"\r\n.", b"\r\n..") if at >= 0 else rest)
    return b"".join(pieces)


def outgoing(content: bytes | StoredContent, piece_bytes: int = _PIECE_BYTES) -> Iterator[bytes]:
    """Yield `stuffed` content in pieces. Raises OSError or EOFError when it cannot be read to its end."""
    last = b"\r\n"  # the two bytes before the piece: CRLF and dot may lie in different ones
    for piece in _pieces(content, piece_bytes):
        out = (last + piece).replace(b"\r\n.", b"\r\n..")
        yield out[2:]
        last = out[-2:]
    if last != b"\r\n":
        yield b"\r\n"


def header_of(content: bytes | StoredContent) -> bytes:
    """Return the header fields, without their empty line; the whole content when it has none."""
    head = content if isinstance(content, bytes) else content.piece(0, _HEADER_BYTES)
    return head[: head.find(b"\r\n\r\n") + 1 or None]


def _pieces(content: bytes | StoredContent, size: int) -> Iterator[bytes]:
    if isinstance(content, StoredContent):
        return content.pieces(size=size)
    return (content[at : at + size] for at in range(0, len(content), size))
