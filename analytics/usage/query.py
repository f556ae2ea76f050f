"""The question `usage`: a month's mail by reseller and account, by month or by day (UTC), counted from the rows.

Each thing counts on the day it happened: a message that came on the 30th and was delivered on the 1st is a message of
the one month and a delivery of the next. The relay's own mail (reports, notices) and mail to the sandbox count for
nobody. `held`: times a message was parked, by the verdict or by a decision later. `rejected`, `throttled`: 5yz, 4yz.
"""

from collections.abc import Sequence

COUNTS: Sequence[str] = (
    *("messages", "recipients", "bytes", "held", "rejected", "throttled"),
    *("delivered", "bounced", "expired", "dropped"),
)
USAGE_PARAMS: dict[str, str | int] = {"month": "", "reseller": "", "by": "month"}

_DAY_US = 86_400_000_000  # a tenth of what date_trunc costs on instants with a time zone
# relay/returns/reporting.py names what the relay itself sends: account|bounce|hostname
_THEIRS = "{scope} AND ($reseller = '' OR reseller = $reseller) AND split_part(sender, '|', 2) <> 'bounce'"
_COUNTED = f"{_THEIRS} AND sandbox IS NOT TRUE"
_PARKED = f"""event = 'held' AND {_THEIRS}
      AND message_id NOT IN (SELECT message_id FROM message WHERE sandbox)"""  # noqa: S608 - our own text


def _counted(instant: str, source: str, which: str, **counts: str) -> str:
    """One source of counts: its rows of the month, those of its own columns counted and the others 0."""
    columns = ",\n           ".join(f"{counts.get(name, '0')} AS {name}" for name in COUNTS)
    return f"""
    SELECT reseller, account, if($by = 'day', epoch_us({instant}) // {_DAY_US}, 0) AS day,
           {columns}
    FROM {source}
    WHERE {instant} >= $month_begin AND {instant} < $month_end AND {which}"""  # noqa: S608 - our own text


_SOURCES = (
    _counted(
        "received_at",
        "message",
        _COUNTED,
        messages="1",
        recipients="recipients_count",
        bytes="coalesce(size_bytes, 0)",
        held="(action = 'hold')::BIGINT",
    ),
    _counted(
        "logged_at",
        "rejection",
        _COUNTED,
        rejected="(action = 'reject')::BIGINT",
        throttled="(action = 'defer')::BIGINT",
    ),
    _counted(
        "finished_at",
        "recipient",
        _COUNTED,
        **{outcome: f"(outcome = '{outcome}')::BIGINT" for outcome in ("delivered", "bounced", "expired", "dropped")},
    ),
    _counted("logged_at", "held_event", _PARKED, held="1"),
)

USAGE = f"""
WITH happened AS ({" UNION ALL ".join(_SOURCES)}
)
SELECT reseller, account, if($by = 'day', to_timestamp(86400 * day), $month_begin) AS begins_at,
       {", ".join(f"sum({name})::BIGINT AS {name}" for name in COUNTS)}
FROM happened
GROUP BY ALL
ORDER BY ALL
"""  # noqa: S608
