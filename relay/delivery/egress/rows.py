"""Rows by source and destination as counters.sqlite keeps them: what warm-up plans and rests have in common."""

from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

import msgspec

_Row = TypeVar("_Row")
_Key = tuple[str, str]


def encoded(
    changed: Iterable[_Key], rows: Mapping[_Key, _Row], encode: Callable[[_Row], bytes]
) -> list[tuple[str, bytes]]:
    """Return the changed rows for counters.Source.dirty; one that is gone is empty."""
    return [("|".join(key), encode(rows[key]) if key in rows else b"") for key in changed]


def decoded(stored: Iterable[tuple[str, bytes]], rows: dict[_Key, _Row], decode: Callable[[bytes], _Row]) -> int:
    """Put stored rows into `rows`; return how many were unreadable."""
    unreadable = 0
    for key, data in stored:
        source, _, destination = key.partition("|")
        try:
            rows[source, destination] = decode(data)
        except (msgspec.DecodeError, UnicodeError):
            unreadable += 1
    return unreadable
