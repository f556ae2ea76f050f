"""Destinations that name one of our addresses, as Gmail does by 4.7.28: an alarm with the likeliest culprits.

Nothing else follows from it here: the relay rests the address by itself, and no reply ever quarantines one.
"""

from datetime import datetime

from analytics.jobs import RaiseAlarm
from analytics.listings.culprits import likeliest
from analytics.warehouse import Warehouse
from relay.policy.decisions.decision import Evidence

_AT_ONCE = 5  # to tell who is to blame takes a second on ten million messages; the next run goes on
_FROM = 3  # replies of one destination in an hour: a single one may be about anything

# Not those of which the same was said within the day.
_FRESH = """
WITH named AS (
    SELECT source AS address, destination, logged_at AS heard_at, concat_ws(' ', code, enhanced, text) AS text
    FROM deferral
    WHERE category = 'ReputationBlock' AND source <> '' AND logged_at BETWEEN $now - INTERVAL 1 HOUR AND $now
    UNION ALL
    SELECT source, destination, finished_at, concat_ws(' ', code, enhanced, text)
    FROM recipient
    WHERE category = 'ReputationBlock' AND source <> '' AND finished_at BETWEEN $now - INTERVAL 1 HOUR AND $now
)
SELECT address, destination, count(*) AS times, min(heard_at) AS first_at, arg_max(text, heard_at) AS text
FROM named
WHERE (address, destination) NOT IN (
    SELECT (evidence ->> '$.address', evidence ->> '$.destination')
    FROM alarm
    WHERE condition = 'ip_blocked' AND logged_at >= $now - INTERVAL 1 DAY
)
GROUP BY address, destination
HAVING count(*) >= $least
ORDER BY address, destination
"""


class Blocks:
    """Looks for them; remembers what it told until the warehouse has it."""

    def __init__(self, warehouse: Warehouse, raise_alarm: RaiseAlarm) -> None:
        self._warehouse, self._raise_alarm = warehouse, raise_alarm
        self._told: dict[tuple[str, str], datetime] = {}

    def look(self, now: datetime) -> int:
        """Raise an alarm for each address and destination that is new today, some at a time; return how many."""
        rows = self._warehouse.table(_FRESH, now=now, least=_FROM).to_pylist()
        self._told = {key: at for key, at in self._told.items() if (now - at).days < 1}
        fresh = [row for row in rows if (row["address"], row["destination"]) not in self._told]
        for row in fresh[:_AT_ONCE]:
            self._told[row["address"], row["destination"]] = now
            self._tell(row["address"], row["destination"], row["times"], row["first_at"], row["text"])
        return len(fresh[:_AT_ONCE])

    def _tell(self, address: str, destination: str, times: int, first_at: datetime, text: str) -> None:
        culprits = likeliest(self._warehouse, address, first_at, destination)
        said = f"{destination} refused or put off {times} mails of the last hour because of {address}: {text[:200]}"
        blamed = f". Likeliest: {culprits[0]}" if culprits else ""
        evidence: Evidence = {"address": address, "destination": destination, "times": times, "culprits": culprits}
        self._raise_alarm("ip_blocked", said + blamed, evidence)
