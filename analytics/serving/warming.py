"""What every dashboard asks first, to be asked when analytics starts: what is read from the disk then stays in memory.

The windows and their buckets are those of dashboard/data/__init__.py, from which nothing may be imported here.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

_WINDOWS = ((timedelta(hours=1), 60), (timedelta(hours=24), 900), (timedelta(days=7), 7200))


def first_questions(now: datetime) -> Iterator[tuple[str, dict[str, Any]]]:
    """Names and parameters, as the page Now gives them when nobody is stopped; the usual window first."""
    for span, bucket in _WINDOWS:
        edge = int((now - span).timestamp()) // bucket * bucket
        since = datetime.fromtimestamp(edge, UTC).isoformat()
        yield "tiles", {"since": since}
        yield "flow", {"bucket_seconds": bucket, "since": since}
        yield "delay", {"bucket_seconds": bucket, "exclude_sender": "", "since": since}
        yield "senders", {"since": since}
