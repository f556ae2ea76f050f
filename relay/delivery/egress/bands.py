"""How good analytics says each source is at each destination: one version of it, whole, until it ends or a newer comes.

Only what is poor or bad is kept; the rest is as nobody had spoken. Pure: `now` is Unix seconds. `dirty` and `load` are
for counters.sqlite.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import msgspec

from relay.delivery.egress.rows import decoded, encoded

LOW = frozenset({"poor", "bad"})
_OTHERS = "others"  # analytics counts rare destinations together


class _Row(msgspec.Struct, array_like=True):
    version: int = 0
    band: str = ""
    score: float = 100.0
    until_unix: float = 0.0


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Row).decode
_VERSION = ("", "")  # whose row only has the version: also one in which nobody is poor is one


@dataclass(frozen=True, slots=True)
class Low:
    """A source that is poor or bad at a destination."""

    source: str
    destination: str
    band: str
    score: float
    until_unix: float


class Bands:
    """The version in force."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, str], _Row] = {}
        self._dirty: set[tuple[str, str]] = set()

    @property
    def version(self) -> int:
        """Number of the version that was taken last; 0: none yet."""
        row = self._rows.get(_VERSION)
        return row.version if row else 0

    def take(self, version: int, low: Mapping[tuple[str, str], tuple[str, float]], until_unix: float) -> bool:
        """Use another version, (source, destination) -> (band, score); tell whether it is newer than that in force."""
        if version <= self.version:
            return False
        self._dirty.update(self._rows)
        self._rows = {key: _Row(version, band, score, until_unix) for key, (band, score) in low.items()}
        self._rows[_VERSION] = _Row(version, until_unix=until_unix)
        self._dirty.update(self._rows)
        return True

    def is_low(self, source: str, destination: str, now: float) -> bool:
        """Tell whether mail should rather leave from another source."""
        if len(self._rows) < 2:
            return False
        row = self._rows.get((source, destination)) or self._rows.get((source, _OTHERS))
        return row is not None and row.until_unix > now

    def low(self, now: float) -> Iterator[Low]:
        for (source, destination), row in sorted(self._rows.items(), key=lambda item: item[0]):
            if source and row.until_unix > now:
                yield Low(source, destination, row.band, row.score, row.until_unix)

    def dirty(self) -> list[tuple[str, bytes]]:
        changed, self._dirty = self._dirty, set()
        return encoded(changed, self._rows, _encode)

    def load(self, rows: Iterable[tuple[str, bytes]]) -> int:
        return decoded(rows, self._rows, _decode)
