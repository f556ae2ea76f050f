"""The job: count, score, keep. The history gets a row when something moved, else one an hour.

Counts of all senders take two seconds, scores of 22,000 took eleven, each minute: those that nothing happened to only
fade, by one percent a minute at most, and take turns.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec
import numpy as np
import pyarrow as pa

from analytics.reputation.counts import PARTS, Counts, Floats, addresses, parts, senders_and_accounts
from analytics.reputation.explain import costs
from analytics.reputation.score import assess, shares
from analytics.warehouse import Connection, Warehouse, transaction
from relay.organisations import organisation_of

# What a list said last counts for so long; then nobody knows. Domains are asked about daily.
_LISTED = """
SELECT address, weight
FROM (
    SELECT address, zone, confirmed, weight
    FROM listing
    WHERE status IN ('listed', 'clean')
      AND entity_kind = $kind
      AND checked_at >= $now - CASE $kind WHEN 'ip' THEN INTERVAL 6 HOUR ELSE INTERVAL 50 HOUR END
    QUALIFY row_number() OVER (PARTITION BY address, zone ORDER BY checked_at DESC) = 1
)
WHERE confirmed
"""

_MOVED = """
INSERT INTO reputation BY NAME
SELECT n.*
FROM computed n
LEFT JOIN (
    SELECT entity_kind, entity, max(computed_at) AS computed_at, arg_max(score, computed_at) AS score,
           arg_max(band, computed_at) AS band
    FROM reputation
    WHERE computed_at >= $now - INTERVAL 2 HOUR
    GROUP BY ALL
) h USING (entity_kind, entity)
WHERE h.entity IS NULL
   OR h.band <> n.band
   OR abs(h.score - n.score) >= 1
   OR h.computed_at <= $now - INTERVAL 1 HOUR
"""


_CLEAR = """
DELETE FROM reputation_now
WHERE entity_kind IN (SELECT unnest($kinds))
  AND NOT (entity_kind = 'sender' AND entity IN (SELECT unnest($waiting::VARCHAR[])))
"""

_IDLE_AT_ONCE = 2_000  # 0.7 s of one core; 22,000 have had their turn in eleven minutes
_UNSETTLED = timedelta(minutes=5)  # what happened so shortly before may have come in after

_LISTED_AS = {"ip": "ip", "from_domain": "domain", "url_domain": "domain"}


def compute(warehouse: Warehouse, now: datetime) -> int:
    """Bring reputation_now and the history of senders, accounts and addresses up to date; return how many there are."""
    senders, accounts = senders_and_accounts(warehouse, now)
    due = _due(warehouse, senders)
    waiting = sorted(set(senders.entities).difference(due.entities))
    return len(waiting) + _publish(warehouse, [due, accounts, addresses(warehouse, now)], now, waiting)


def compute_parts(warehouse: Warehouse, now: datetime) -> int:
    """The same for domains, pools, and addresses by provider (counts.PARTS)."""
    return _publish(warehouse, [parts(warehouse, kind, now) for kind in PARTS], now)


def _due(warehouse: Warehouse, senders: Counts) -> Counts:
    """Those that are new, that something came in for since they were scored, and of the others the longest waiting."""
    table = warehouse.table("SELECT entity, computed_at FROM reputation_now WHERE entity_kind = 'sender'")
    scored_at = dict(zip(*(table.column(name).to_pylist() for name in ("entity", "computed_at")), strict=True))
    due, idle = [], []
    for row, (name, latest) in enumerate(zip(senders.entities, senders.latest, strict=True)):
        before = scored_at.get(name)
        if before is None or latest >= before - _UNSETTLED:
            due.append(row)
        else:
            idle.append((before, row))
    due += [row for _, row in sorted(idle)[:_IDLE_AT_ONCE]]
    return senders.only(np.array(sorted(due), dtype=np.intp))


def _publish(warehouse: Warehouse, counts: list[Counts], now: datetime, waiting: Sequence[str] = ()) -> int:
    """Write the scores of all of these kinds; senders that are `waiting` keep theirs."""
    rows = pa.concat_tables([_table(one, _listing_points(warehouse, one, now), now) for one in counts])
    kinds = [one.kind for one in counts]

    def write(connection: Connection) -> None:
        connection.register("computed_rows", rows)
        try:
            with transaction(connection):
                connection.execute("CREATE OR REPLACE TEMP TABLE computed AS FROM computed_rows")
                connection.execute(_CLEAR, {"kinds": kinds, "waiting": list(waiting)})
                connection.execute("INSERT INTO reputation_now BY NAME FROM computed")
                connection.execute(_MOVED, {"now": now})
        finally:
            connection.unregister("computed_rows")

    warehouse.write(write).result()
    return int(rows.num_rows)


def _table(counts: Counts, listing: Floats, now: datetime) -> pa.Table:
    scores = assess(counts, listing)
    size = len(counts.entities)
    return pa.table(
        {
            "entity_kind": pa.array([counts.kind] * size, pa.string()),
            "entity": pa.array(counts.entities, pa.string()),
            "account": pa.array(counts.accounts, pa.string()),
            "reseller": pa.array(counts.resellers, pa.string()),
            "computed_at": pa.array([now] * size, pa.timestamp("us", "UTC")),
            "score": scores.score,
            "low": scores.low,
            "high": scores.high,
            "band": pa.array(scores.bands, pa.string()),
            "n": np.rint(counts.n).astype(np.int64),
            "points": pa.array([msgspec.json.encode(shares(row)).decode() for row in scores.points], pa.string()),
            "signals": pa.array([msgspec.json.encode(one).decode() for one in costs(counts, scores)], pa.string()),
        }
    )


def _listing_points(warehouse: Warehouse, counts: Counts, now: datetime) -> Floats:
    """What confirmed listings cost each entity, by the worst of them."""
    worst: dict[str, float] = {}
    if kind := _LISTED_AS.get(counts.kind):
        for row in warehouse.table(_LISTED, now=now, kind=kind).to_pylist():
            worst[row["address"]] = max(row["weight"], worst.get(row["address"], 0.0))
    names = counts.entities if counts.kind == "ip" else [organisation_of(name) for name in counts.entities]
    return np.asarray(-np.log1p(-np.array([worst.get(name, 0.0) for name in names], dtype=np.float64)))
