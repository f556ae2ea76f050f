"""Months as people write them, and when they begin and end (UTC)."""

import re
from datetime import UTC, datetime

_MONTH = re.compile(r"(20\d\d)-(0[1-9]|1[0-2])")


class NoMonth(Exception):
    """The text is no month; says which form one has."""


def month_of(text: str, now: datetime) -> tuple[datetime, datetime]:
    """Return when a month begins and when the next one does; "": the month of `now`. Raises NoMonth.

    >>> month_of("2026-12", datetime.now(UTC))[1].isoformat()
    '2027-01-01T00:00:00+00:00'
    """
    found = _MONTH.fullmatch(text or f"{now.astimezone(UTC):%Y-%m}")
    if found is None:
        raise NoMonth(f"month: {text!r} is not a month like 2026-11")
    year, month = int(found[1]), int(found[2])
    return datetime(year, month, 1, tzinfo=UTC), datetime(year + month // 12, month % 12 + 1, 1, tzinfo=UTC)


def months_until(now: datetime, count: int) -> list[str]:
    """The last `count` months, the current one first.

    >>> months_until(datetime(2026, 2, 9, tzinfo=UTC), 3)
    ['2026-02', '2026-01', '2025-12']
    """
    last = now.year * 12 + now.month - 1
    return [f"{index // 12}-{index % 12 + 1:02d}" for index in range(last, last - count, -1)]
