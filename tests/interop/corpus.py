"""Real mail that any mail server passes on unchanged, and what of it must come out again."""

from pathlib import Path

import pyarrow.parquet as pq


def real_mail(corpora: Path, count: int) -> list[bytes]:
    """Return messages of the corpus, LF line ends, from all its sources."""
    column = pq.read_table(corpora / "mail" / "dev.parquet", columns=["raw"])["raw"]
    found: list[bytes] = []
    step = max(1, len(column) // (count * 4))
    for place in range(0, len(column), step):
        message = column[place].as_py().replace(b"\r\n", b"\n")
        if _is_plain(message):
            found.append(message)
        if len(found) == count:
            break
    return found


def body(message: bytes) -> bytes:
    """Return what stands below the header, with LF line ends; SMTP has no last line without one."""
    text = message.replace(b"\r\n", b"\n").partition(b"\n\n")[2]
    return text if not text or text.endswith(b"\n") else text + b"\n"


def _is_plain(message: bytes) -> bool:
    """Tell whether the mail servers themselves leave it alone: no NUL, no bare CR, no long line, no mbox line."""
    _header, gap, _ = message.partition(b"\n\n")
    return (
        bool(gap)
        and not {0, 13} & set(message)
        and len(message) < 200_000
        and max(map(len, message.split(b"\n"))) <= 998
        and not message.startswith((b"From ", b">From "))
    )
