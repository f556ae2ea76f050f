"""How each destination treats each source: resting after it named our address as blocked, degraded when it defers much.

A rest is 4 h, doubling to 48 h while the block comes back, and ends by itself; a day without a block begins anew
(spec 2.10). Nothing here ever quarantines a source: an error code is no reason for that. Pure: `now` is Unix seconds.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import msgspec

from relay.delivery.egress.rows import decoded, encoded
from relay.delivery.replies import Category, OwnReply
from relay.reply import Reply

REST_SECONDS, LONGEST_REST_SECONDS = 4 * 3_600.0, 48 * 3_600.0
_CLEAN_SECONDS = 86_400.0
# Degraded: every fifth message of about the last hour put off; below 20 it is chance.
_DEGRADED_SHARE, _DEGRADED_FROM = 0.2, 20.0
_HALF_LIFE_SECONDS = 1_800.0
_MOST_ROWS = 50_000  # 10 MB; one destination is one row a source, and only if it deferred or blocked

# What a destination says of us, not of the recipient, the message's size or its own trouble with DNS
_ABOUT_US = frozenset(
    {
        Category.RATE_LIMITED,
        Category.REPUTATION_BLOCK,
        Category.POLICY_RELATED,
        Category.CONTENT_BLOCK,
        Category.TRANSIENT_FAILURE,
        Category.UNCLASSIFIED,
    }
)
_BY_POLICY = frozenset({Category.REPUTATION_BLOCK, Category.POLICY_RELATED, Category.CONTENT_BLOCK})
_OF_ANOTHER = re.compile(r"\b(uribls?|surbls?|dbl|urls?|links?|domains?|dkim|spf)\b", re.IGNORECASE)


class _Row(msgspec.Struct, array_like=True):
    resting_until: float = 0.0
    rests: int = 0  # in a row; each doubles the next
    clean_since: float = 0.0  # the first delivery after the rest
    seen: float = 0.0  # both decay
    deferred: float = 0.0
    counted_at: float = 0.0


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Row).decode


@dataclass(frozen=True, slots=True)
class Trouble:
    """A source that rests or is degraded at a destination; `until_unix` 0: until it defers less."""

    source: str
    destination: str
    kind: str
    until_unix: float
    deferred_share: float


class IpStates:
    """All that is not as it should be; a source that is well has no row. `dirty` and `load` are for counters.sqlite."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, str], _Row] = {}
        self._dirty: set[tuple[str, str]] = set()

    def rest_left(self, source: str, destination: str, now: float) -> float:
        """Return the seconds a source still rests for a destination; 0: it does not."""
        row = self._rows.get((source, destination))
        if row is None or row.resting_until <= now:
            return 0.0
        return min(row.resting_until - now, LONGEST_REST_SECONDS)  # not longer where the clock went back

    def is_degraded(self, source: str, destination: str, now: float) -> bool:
        row = self._rows.get((source, destination))
        return row is not None and _share(row, now) >= _DEGRADED_SHARE

    def delivered(self, source: str, destination: str, now: float) -> None:
        """Count a delivery; after a day without a block, and without much deferred, the source is as if new here."""
        row = self._rows.get((source, destination))
        if row is None:
            return
        self._dirty.add((source, destination))
        _count(row, now, 0.0)
        if not row.clean_since and now >= row.resting_until:  # what was in flight when the block came proves nothing
            row.clean_since = now
        elif row.clean_since and now - row.clean_since >= _CLEAN_SECONDS and row.deferred < 1.0:
            del self._rows[source, destination]

    def deferred(self, source: str, destination: str, now: float) -> None:
        _count(self._row(source, destination, now), now, 1.0)

    def blocked(self, source: str, destination: str, now: float) -> None:
        """Let the source rest for the destination. More of the same while it rests is the same block."""
        row = self._row(source, destination, now)
        if row.resting_until > now:
            return
        if row.clean_since and now - row.clean_since >= _CLEAN_SECONDS:
            row.rests = 0
        row.resting_until = now + min(REST_SECONDS * 2**row.rests, LONGEST_REST_SECONDS)
        row.rests = min(row.rests + 1, 16)
        row.clean_since = 0.0

    def wake(self, source: str) -> None:
        """Forget what destinations held against a source: a person says it is well, or it is no more."""
        for key in [key for key in self._rows if key[0] == source]:
            del self._rows[key]
            self._dirty.add(key)

    def troubles(self, now: float) -> Iterator[Trouble]:
        for (source, destination), row in sorted(self._rows.items(), key=lambda item: item[0]):
            share = _share(row, now)
            if row.resting_until > now:
                yield Trouble(source, destination, "resting", row.resting_until, share)
            elif share >= _DEGRADED_SHARE:
                yield Trouble(source, destination, "degraded", 0.0, share)

    def dirty(self) -> list[tuple[str, bytes]]:
        changed, self._dirty = self._dirty, set()
        return encoded(changed, self._rows, _encode)

    def load(self, rows: Iterable[tuple[str, bytes]]) -> int:
        return decoded(rows, self._rows, _decode)

    def _row(self, source: str, destination: str, now: float) -> _Row:
        key = source, destination
        row = self._rows.get(key)
        if row is None:
            if len(self._rows) >= _MOST_ROWS:
                self._sweep(now)
            row = self._rows[key] = _Row(counted_at=now)
        self._dirty.add(key)
        return row

    def _sweep(self, now: float) -> None:
        """Make room: what says nothing any more goes, then the oldest."""
        idle = [key for key, row in self._rows.items() if max(row.resting_until, row.counted_at) + _CLEAN_SECONDS < now]
        oldest = list(self._rows)[: _MOST_ROWS // 10]
        for key in idle or oldest:
            del self._rows[key]
            self._dirty.add(key)


def is_deferral(category: Category, reply: Reply) -> bool:
    """Tell whether a reply puts mail off because of us."""
    return not isinstance(reply, OwnReply) and reply.code < 500 and category in _ABOUT_US


def is_policy_block(category: Category, reply: Reply) -> bool:
    return not isinstance(reply, OwnReply) and category in _BY_POLICY


def blames_address(category: Category, reply: Reply, address: str) -> bool:
    """Tell whether a reply names our address as blocked, and not a domain or link in the mail."""
    if category is not Category.REPUTATION_BLOCK or isinstance(reply, OwnReply):
        return False
    return bool(address and address in reply.text) or not _OF_ANOTHER.search(reply.text)


def _count(row: _Row, now: float, deferred: float) -> None:
    fade = _fade(row, now)
    row.seen, row.deferred = row.seen * fade + 1.0, row.deferred * fade + deferred
    row.counted_at = max(now, row.counted_at)


def _share(row: _Row, now: float) -> float:
    return row.deferred / row.seen if row.seen * _fade(row, now) >= _DEGRADED_FROM else 0.0


def _fade(row: _Row, now: float) -> float:
    return float(0.5 ** (max(now - row.counted_at, 0.0) / _HALF_LIFE_SECONDS))
