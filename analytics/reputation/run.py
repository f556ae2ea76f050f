"""The job: count, score, keep. The history gets a row when something moved, else one an hour."""

from datetime import datetime

import msgspec
import numpy as np
import pyarrow as pa

from analytics.reputation.counts import Counts, Floats, addresses, senders_and_accounts
from analytics.reputation.score import assess, shares
from analytics.warehouse import Connection, Warehouse, transaction

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


def compute(warehouse: Warehouse, now: datetime) -> int:
    """Bring reputation_now and the history up to date; return how many entities there are."""
    senders, accounts = senders_and_accounts(warehouse, now)
    ips = addresses(warehouse, now)
    tables = [
        _table(senders, None, now),
        _table(accounts, None, now),
        _table(ips, _listing_points(warehouse, ips, "ip", now), now),
    ]
    rows = pa.concat_tables(tables)

    def write(connection: Connection) -> None:
        connection.register("computed_rows", rows)
        try:
            with transaction(connection):
                connection.execute("CREATE OR REPLACE TEMP TABLE computed AS FROM computed_rows")
                connection.execute("DELETE FROM reputation_now")
                connection.execute("INSERT INTO reputation_now BY NAME FROM computed")
                connection.execute(_MOVED, {"now": now})
        finally:
            connection.unregister("computed_rows")

    warehouse.write(write).result()
    return int(rows.num_rows)


def _table(counts: Counts, listing: Floats | None, now: datetime) -> pa.Table:
    scores = assess(counts, listing)
    size = len(counts.entities)
    return pa.table(
        {
            "entity_kind": pa.array([counts.kind] * size, pa.string()),
            "entity": pa.array(counts.entities, pa.string()),
            "account": pa.array(counts.accounts, pa.string()),
            "reseller": pa.array(counts.resellers, pa.string()),
            "computed_at": pa.array([now] * size, pa.timestamp("us", "UTC")),
            "score": np.round(scores.score, 2),
            "low": np.round(scores.low, 2),
            "high": np.round(scores.high, 2),
            "band": pa.array(scores.bands, pa.string()),
            "n": np.rint(counts.n).astype(np.int64),
            "points": pa.array([msgspec.json.encode(shares(row)).decode() for row in scores.points], pa.string()),
        }
    )


def _listing_points(warehouse: Warehouse, entities: Counts, kind: str, now: datetime) -> Floats:
    """What confirmed listings cost each entity, by the worst of them."""
    worst: dict[str, float] = {}
    for row in warehouse.table(_LISTED, now=now, kind=kind).to_pylist():
        worst[row["address"]] = max(row["weight"], worst.get(row["address"], 0.0))
    return -np.log1p(-np.array([worst.get(name, 0.0) for name in entities.entities], dtype=np.float64))
