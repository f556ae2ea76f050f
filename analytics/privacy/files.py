"""An address in files: archived journals are rewritten line by line, reports as they came are deleted."""

import gzip
import os
import re
from collections.abc import Callable, Iterator
from email import message_from_bytes
from email.policy import compat32
from pathlib import Path

from relay.privacy.forgotten import Forgotten

_ENCODED = re.compile(rb"base64|quoted-printable", re.IGNORECASE)


def lines_with(path: Path, forgotten: Forgotten) -> int:
    """How many lines of a journal file have the address."""
    wanted = forgotten.address.encode()
    with path.open("rb") as file:
        return sum(wanted in line.lower() and forgotten.is_in(line.decode("utf-8", "replace")) for line in file)


def rewrite(path: Path, change: Callable[[bytes], bytes]) -> None:
    """Put a changed copy in a file's place, its time kept: by that it is deleted one day. Raises OSError."""
    draft, known = path.with_name(f".{path.name}.draft"), path.stat()
    with path.open("rb") as file, draft.open("wb") as out:
        for line in file:
            out.write(change(line))
        out.flush()
        os.fsync(out.fileno())
    os.utime(draft, ns=(known.st_atime_ns, known.st_mtime_ns))
    draft.chmod(known.st_mode & 0o777)
    draft.replace(path)


def without(forgotten: Forgotten) -> Callable[[bytes], bytes]:
    """The change of a line that replaces the address. It needs no quoting in JSON, and neither does the token."""
    wanted = forgotten.address.encode()

    def change(line: bytes) -> bytes:
        if wanted not in line.lower():
            return line
        return forgotten.replace(line.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")

    return change


def reports_with(folder: Path, forgotten: Forgotten) -> Iterator[Path]:
    """The kept mails and reports below `folder` that have the address, also in an encoded part."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            try:
                raw = path.read_bytes()
                raw = gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw
            except (OSError, EOFError):  # deleted by its age meanwhile, or damaged
                continue
            if any(forgotten.is_in(text) for text in _texts(raw, forgotten.address.encode())):
                yield path


def _texts(raw: bytes, wanted: bytes) -> Iterator[str]:
    if wanted in raw.lower():
        yield raw.decode("utf-8", "replace")
    if _ENCODED.search(raw):
        for part in message_from_bytes(raw, policy=compat32).walk():
            content = part.get_payload(decode=True)
            if isinstance(content, bytes) and wanted in content.lower():
                yield content.decode("utf-8", "replace")
