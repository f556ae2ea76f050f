"""What CI may install: exact versions, and for its own platform archives of known digests."""

import re
from pathlib import Path

_CI = Path(__file__).resolve().parent.parent / ".ci"


def _lines(name: str) -> list[str]:
    return [line for line in (_CI / name).read_text().splitlines() if line and not line.startswith("#")]


def test_every_archive_is_named_by_version_and_digest() -> None:
    assert [
        line for line in _lines("requirements.txt") if not re.fullmatch(r"\S+==\S+ --hash=sha256:[0-9a-f]{64}", line)
    ] == []


def test_the_archives_are_of_the_versions_that_are_pinned() -> None:
    pinned = {line.partition(";")[0].strip() for line in _lines("constraints.txt")}
    hashed = {line.partition(" ")[0] for line in _lines("requirements.txt")}
    elsewhere = {
        line.partition(";")[0].strip()
        for line in _lines("constraints.txt")
        if re.search(r"sys_platform|python_(?:full_)?version", line)
    }

    assert hashed - pinned == set()
    assert pinned - hashed - elsewhere == set()
