"""Counts for what the minute rollup does not tell apart: From domains, link domains, pools, addresses by provider.

Ingestion notes which hours something came in for; those are made anew from the rows, so that a late record, and a
complaint that finds its message late, count where they belong.
"""

from datetime import datetime

from analytics.ingesting.consequences import IS_BLOCK, SPAM
from analytics.warehouse import Connection, Warehouse, transaction
from relay.settings import Policy

# One run holds the writer for this many hours' rows at most; after a rebuild the next runs do the rest, newest first.
_HOURS_AT_ONCE = 24
_COARSE_AFTER = "INTERVAL 2 DAY"
_PROVIDERS = 50  # the most used destinations; all others are one

_RENEWING = f"""
CREATE OR REPLACE TEMP TABLE renewing AS
SELECT DISTINCT hour FROM part_due ORDER BY hour DESC LIMIT {_HOURS_AT_ONCE}
"""  # noqa: S608 - our own number
_TAKE = "DELETE FROM part_due WHERE hour IN (SELECT hour FROM renewing)"
_CLEAR = "DELETE FROM rollup_part WHERE date_trunc('hour', bucket) IN (SELECT hour FROM renewing)"


def _in_hours(instant: str) -> str:
    """The span lets DuckDB skip all row groups but those of these hours."""
    return (
        f"{instant} >= (SELECT min(hour) FROM renewing) "  # noqa: S608 - our own text
        f"AND {instant} < (SELECT max(hour) FROM renewing) + INTERVAL 1 HOUR "
        f"AND date_trunc('hour', {instant}) IN (SELECT hour FROM renewing)"
    )


def _bucket(instant: str) -> str:
    """Ten minutes, whole hours once they are old: the shortest half-life is an hour."""
    return (
        f"CASE WHEN {instant} < $now - {_COARSE_AFTER} THEN date_trunc('hour', {instant}) "
        f"ELSE time_bucket(INTERVAL 10 MINUTE, {instant}) END"
    )


_NO_OUTCOME = "0 AS delivered, 0 AS bounced, 0 AS hard_bounced, 0 AS blocked, 0 AS complaints"
_MAKE = f"""
INSERT INTO rollup_part BY NAME
WITH used AS (
    SELECT destination
    FROM recipient
    WHERE finished_at >= $now - INTERVAL 7 DAY AND destination <> ''
    GROUP BY destination
    ORDER BY count(*) DESC
    LIMIT {_PROVIDERS}
),
judged AS (
    SELECT {_bucket("received_at")} AS bucket, account, reseller, coalesce(pool, '') AS pool, '' AS way,
           coalesce(f_from_domain, '') AS from_domain, coalesce(f_link_domains, []) AS links,
           1 AS messages, (score IS NOT NULL)::BIGINT AS scored, coalesce({SPAM.format(score="score")}, 0) AS spam,
           {_NO_OUTCOME}
    FROM message
    WHERE {_in_hours("received_at")} AND NOT coalesce(sandbox, false)
    UNION ALL BY NAME
    SELECT {_bucket("logged_at")} AS bucket, account, reseller, '' AS pool, '' AS way,
           coalesce(f_from_domain, '') AS from_domain, coalesce(f_link_domains, []) AS links,
           1 AS messages, (score IS NOT NULL)::BIGINT AS scored, coalesce({SPAM.format(score="score")}, 0) AS spam,
           {_NO_OUTCOME}
    FROM rejection
    WHERE {_in_hours("logged_at")} AND message_id <> '' AND NOT coalesce(sandbox, false)
),
told AS (
    SELECT message_id, reported_at, 0 AS hard_bounced, 0 AS blocked, 1 AS complaints
    FROM complaint
    WHERE {_in_hours("reported_at")} AND message_id <> '' AND NOT coalesce(sandbox, false)
    UNION ALL
    SELECT message_id, reported_at, is_hard::BIGINT, (NOT is_hard AND {IS_BLOCK})::BIGINT, 0
    FROM out_of_band
    WHERE {_in_hours("reported_at")} AND proof <> ''
),
ended AS (
    SELECT r.*
    FROM recipient r
    WHERE {_in_hours("r.finished_at")} AND r.outcome <> 'dropped' AND NOT coalesce(r.sandbox, false)
),
outcomes AS (
    SELECT {_bucket("r.finished_at")} AS bucket, r.account, r.reseller, coalesce(m.pool, '') AS pool,
           CASE WHEN coalesce(r.source, '') <> '' THEN
               r.source || '|' || if(r.destination IN (SELECT destination FROM used), r.destination, 'others')
           ELSE '' END AS way,
           coalesce(m.f_from_domain, '') AS from_domain, coalesce(m.f_link_domains, []) AS links,
           (m.score IS NOT NULL)::BIGINT AS sent_scored, coalesce({SPAM.format(score="m.score")}, 0) AS sent_spam,
           (r.outcome = 'delivered')::BIGINT AS delivered, (r.outcome <> 'delivered')::BIGINT AS bounced,
           (r.outcome = 'bounced' AND r.is_hard)::BIGINT AS hard_bounced,
           (r.outcome = 'bounced' AND NOT r.is_hard AND {IS_BLOCK})::BIGINT AS blocked, 0 AS complaints
    FROM ended r
    LEFT JOIN (
        SELECT message_id, pool, f_from_domain, f_link_domains, score
        FROM message
        WHERE received_at >= (SELECT min(received_at) FROM ended) - INTERVAL 1 SECOND
          AND received_at <= (SELECT max(received_at) FROM ended) + INTERVAL 1 SECOND
    ) m ON m.message_id = r.message_id
    UNION ALL BY NAME
    SELECT {_bucket("c.reported_at")} AS bucket, m.account, m.reseller, coalesce(m.pool, '') AS pool,
           CASE WHEN coalesce(w.source, '') <> '' THEN
               w.source || '|' || if(w.destination IN (SELECT destination FROM used), w.destination, 'others')
           ELSE '' END AS way,
           coalesce(m.f_from_domain, '') AS from_domain, coalesce(m.f_link_domains, []) AS links,
           0 AS sent_scored, 0 AS sent_spam,
           0 AS delivered, 0 AS bounced, c.hard_bounced, c.blocked, c.complaints
    FROM told c
    JOIN message m ON m.message_id = c.message_id
    LEFT JOIN (
        SELECT message_id, min(source) AS source, min(destination) AS destination
        FROM recipient
        WHERE message_id IN (SELECT message_id FROM told)
        GROUP BY message_id
    ) w ON w.message_id = c.message_id
),
things AS (
    SELECT bucket, account, reseller, pool, from_domain, links, messages, scored, spam,
           delivered, bounced, hard_bounced, blocked, complaints
    FROM judged
    UNION ALL BY NAME
    SELECT bucket, account, reseller, pool, from_domain, links, 0 AS messages, 0 AS scored, 0 AS spam,
           delivered, bounced, hard_bounced, blocked, complaints
    FROM outcomes
),
named AS (
    SELECT 'from_domain' AS entity_kind, from_domain AS entity, * FROM things
    UNION ALL BY NAME
    SELECT 'pool' AS entity_kind, pool AS entity, * REPLACE ('' AS account, '' AS reseller) FROM things
    UNION ALL BY NAME
    SELECT 'url_domain' AS entity_kind, unnest(list_distinct(links)) AS entity,
           * REPLACE ('' AS account, '' AS reseller)
    FROM things
    UNION ALL BY NAME
    SELECT 'ip_provider' AS entity_kind, way AS entity, bucket, '' AS account, '' AS reseller,
           delivered + bounced AS messages, sent_scored AS scored, sent_spam AS spam,
           delivered, bounced, hard_bounced, blocked, complaints
    FROM outcomes
)
SELECT bucket, entity_kind, entity, account, reseller,
       sum(messages) AS messages, sum(scored) AS scored, sum(spam) AS spam, sum(delivered) AS delivered,
       sum(bounced) AS bounced, sum(hard_bounced) AS hard_bounced, sum(blocked) AS blocked,
       sum(complaints) AS complaints
FROM named
WHERE entity <> ''
GROUP BY ALL
"""  # noqa: S608 - our own text


def refresh(warehouse: Warehouse, policy: Policy, now: datetime) -> int:
    """Make the hours anew that something came in for; return how many are left for the next run."""
    values = {"now": now, "hold_score": policy.hold_score, "suspect_score": policy.suspect_score}

    def write(connection: Connection) -> int:
        with transaction(connection):
            connection.execute(_RENEWING)
            connection.execute(_TAKE)
            connection.execute(_CLEAR)
            connection.execute(_MAKE, values)
            return int(connection.sql("SELECT count(DISTINCT hour) FROM part_due").fetchall()[0][0])

    return warehouse.write(write).result()
