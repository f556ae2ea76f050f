"""The three rollups as one: how differences get into all of them, and the SQL that reads a long span cheaply.

rollup_minute has a row per minute, sender and address; rollup_hour one per hour and sender, rollup_source one per hour
and address. Weeks are read by the hour, and only the broken hours at the ends of a span by the minute.
"""

from analytics.warehouse import Connection

# Of rollup_minute, in its order; those of MESSAGES are in rollup_hour too, those of LEFT in rollup_source.
_ALL = (
    "accepted", "held", "parked", "rejected", "throttled", "recipients", "scored", "spam", "score_sum", "deferred",
    "delivered", "bounced", "sent_scored", "sent_spam", "hard_bounced", "blocked", "complaints", "delay_sum_seconds",
)  # fmt: skip
LEFT = ("delivered", "bounced", "hard_bounced", "blocked", "complaints", "sent_scored", "sent_spam")
MESSAGES = tuple(name for name in _ALL if not name.startswith(("sent_", "delay_")))

_HOUR = "to_timestamp(3600 * (epoch_us(minute) // 3600000000))"
_WHOLE = ", ".join(f"coalesce({name}, 0) AS {name}" for name in _ALL)


def _sums(names: tuple[str, ...]) -> str:
    return ", ".join(f"coalesce(sum({name}), 0) AS {name}" for name in names)


_SPREAD = f"""
INSERT INTO rollup_minute BY NAME
SELECT minute, account, reseller, sender, source, {_WHOLE}, false AS is_merged
FROM counted;
INSERT INTO rollup_hour BY NAME
SELECT {_HOUR} AS hour, account, reseller, sender, max(minute) AS last_at, {_sums(MESSAGES)}, false AS is_merged
FROM counted
GROUP BY ALL;
INSERT INTO rollup_source BY NAME
SELECT {_HOUR} AS hour, source, max(minute) AS last_at, {_sums(LEFT)}, false AS is_merged
FROM counted
WHERE source <> ''
GROUP BY ALL
"""  # noqa: S608 - our own names


def begin(connection: Connection) -> None:
    """Make the temporary table `counted`, which takes differences by the minute with any of the counts."""
    connection.execute("CREATE OR REPLACE TEMP TABLE counted AS FROM rollup_minute LIMIT 0")


def spread(connection: Connection) -> None:
    """Put what is in `counted` into all rollups, in the caller's transaction."""
    connection.execute(_SPREAD)


def counts(names: tuple[str, ...], begins: str, ends: str = "") -> str:
    """SELECT `minute`, the keys, `last_at` and these counts of a span, at its ends by the minute, else by the hour.

    `begins` and `ends` are SQL instants; `{scope}` is left open. `minute` is an hour's first of the hours.
    """
    keys = f"account, reseller, sender, {', '.join(names)}"
    first, last = _up(begins), _down(ends) if ends else ""
    edges = [f"minute >= {begins} AND minute < {f'least({first}, {ends})' if ends else first}"]
    if ends:
        edges.append(f"minute >= greatest({first}, {last}) AND minute < {ends}")
    # each edge by itself: an OR would read all the minutes between them
    minutes = [
        f"SELECT minute, minute AS last_at, {keys} FROM rollup_minute WHERE {edge} AND {{scope}}"  # noqa: S608
        for edge in edges
    ]
    within = f"hour >= {first}" + (f" AND hour < {last}" if last else "")
    hours = f"SELECT hour AS minute, last_at, {keys} FROM rollup_hour WHERE {within} AND {{scope}}"  # noqa: S608
    return "\nUNION ALL\n".join([hours, *minutes])


def _up(instant: str) -> str:
    return f"to_timestamp(3600 * ceil(epoch({instant}) / 3600))"


def _down(instant: str) -> str:
    return f"to_timestamp(3600 * floor(epoch({instant}) / 3600))"
