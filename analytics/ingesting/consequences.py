"""What a batch's rows mean for other rows: counts per minute, attribution, the status of every touched message.

Run in the transaction that inserted the rows (batch.py), so that no reader sees one without the other.
"""

from typing import Any

from analytics.ingesting import counting
from analytics.ingesting.batch import IS_FINAL, IS_PARKING, IS_TRY, run
from analytics.warehouse import Connection
from relay.settings import Policy

# The relay's classes of "not you, your reputation or content" (spec 2.12), and 5.7.x where no class was found. An
# authentication the customer must repair (5.7.2x) is nobody's reputation.
IS_BLOCK = (
    "(category IN ('PolicyRelated', 'ReputationBlock', 'ContentBlock') "
    "OR (coalesce(category, '') IN ('', 'Unclassified') AND enhanced LIKE '5.7.%' AND enhanced NOT LIKE '5.7.2_'))"
)

SPAM = "CASE WHEN {score} >= $hold_score THEN 1 WHEN {score} >= $suspect_score THEN 0.5 END"

# The differences a batch makes per minute. The score of what left is the message's; one that is not known yet (its
# Reception lies in a later file) is left out, which costs a share estimate nothing.
_ROLLUP = f"""
INSERT INTO counted BY NAME
SELECT date_trunc('minute', CASE kind WHEN 'Reception' THEN b.received_at ELSE b.logged_at END) AS minute,
       b.account,
       coalesce(b.reseller, '') AS reseller,
       b.sender,
       CASE WHEN {IS_TRY} THEN coalesce(source, '') ELSE '' END AS source,
       count(*) FILTER (kind = 'Reception' AND b.action = 'accept') AS accepted,
       count(*) FILTER (kind = 'Reception' AND b.action = 'hold') AS held,
       count(*) FILTER (kind = 'Held') AS parked,
       count(*) FILTER (kind = 'Rejection' AND b.action = 'reject') AS rejected,
       count(*) FILTER (kind = 'Rejection' AND b.action = 'defer') AS throttled,
       coalesce(sum(len(b.recipients)) FILTER (kind = 'Reception'), 0) AS recipients,
       count(b.score) AS scored,
       coalesce(sum({SPAM.format(score="b.score")}), 0) AS spam,
       coalesce(sum(b.score), 0) AS score_sum,
       count(*) FILTER (kind = 'Deferral') AS deferred,
       count(*) FILTER (kind = 'Delivery') AS delivered,
       count(*) FILTER (kind IN ('Bounce', 'Expiration')) AS bounced,
       count(s.score) AS sent_scored,
       coalesce(sum({SPAM.format(score="s.score")}), 0) AS sent_spam,
       count(*) FILTER (kind = 'Bounce' AND is_hard) AS hard_bounced,
       count(*) FILTER (kind = 'Bounce' AND NOT coalesce(is_hard, false) AND {IS_BLOCK}) AS blocked,
       0 AS complaints,
       coalesce(sum(queued_seconds) FILTER (kind = 'Delivery'), 0) AS delay_sum_seconds,
       false AS is_merged
FROM batch b
LEFT JOIN (
    SELECT message_id, score
    FROM message
    WHERE received_at BETWEEN $received_from AND $received_to
) s ON s.message_id = b.message_id AND {IS_FINAL}
WHERE (kind IN ('Reception', 'Rejection', 'Held') OR {IS_TRY}) AND NOT coalesce(b.sandbox, false)
GROUP BY ALL
"""  # noqa: S608

_TOUCHED = f"""
CREATE OR REPLACE TEMP TABLE touched AS
SELECT DISTINCT message_id
FROM batch
WHERE message_id <> '' AND (kind IN ('Reception', 'Complaint') OR {IS_TRY} OR {IS_PARKING})
"""  # noqa: S608

# Parking records do not say when their message came: then the whole table is asked, which is rare.
_TOUCHED_FROM = """
SELECT coalesce(min(received_at), to_timestamp(0)) - INTERVAL 1 SECOND AS received_from
FROM message
WHERE message_id IN (SELECT message_id FROM touched)
"""

# A complaint counts when it is attributed, which may be batches after it came; its own minute is kept.
_ATTRIBUTE = """
CREATE OR REPLACE TEMP TABLE attributed AS
SELECT c.node, c.boot, c.seq, c.message_id, c.reported_at, m.account, m.reseller, m.sender
FROM complaint c
JOIN message m ON m.message_id = c.message_id
WHERE c.sender = '' AND NOT coalesce(c.sandbox, false)
  AND c.message_id IN (SELECT message_id FROM touched) AND m.received_at >= $touched_from
"""
_ATTRIBUTE_COMPLAINTS = """
UPDATE complaint
SET account = a.account, reseller = a.reseller, sender = a.sender
FROM attributed a
WHERE complaint.node = a.node AND complaint.boot = a.boot AND complaint.seq = a.seq
"""
_ROLLUP_COMPLAINTS = """
INSERT INTO counted BY NAME
SELECT date_trunc('minute', c.reported_at) AS minute,
       c.account,
       c.reseller,
       c.sender,
       coalesce(s.source, '') AS source,
       count(*) AS complaints
FROM (
    SELECT message_id, reported_at, account, reseller, sender FROM attributed
    UNION ALL
    SELECT coalesce(message_id, ''), reported_at, account, coalesce(reseller, ''), sender
    FROM batch
    WHERE kind = 'Complaint' AND sender <> '' AND NOT coalesce(sandbox, false)
) c
LEFT JOIN (
    SELECT message_id, min(source) AS source
    FROM recipient
    WHERE message_id IN (SELECT message_id FROM touched) AND received_at >= $touched_from
    GROUP BY message_id
) s USING (message_id)
GROUP BY ALL
"""

# What failed after it was delivered has been counted as delivered, and is sent once: bad, but no further recipient.
_ROLLUP_RETURNED = f"""
INSERT INTO counted BY NAME
SELECT date_trunc('minute', b.reported_at) AS minute,
       b.account,
       coalesce(b.reseller, '') AS reseller,
       b.sender,
       coalesce(r.source, '') AS source,
       count(*) FILTER (coalesce(is_hard, false)) AS hard_bounced,
       count(*) FILTER (NOT coalesce(is_hard, false) AND {IS_BLOCK}) AS blocked
FROM batch b
LEFT JOIN (
    SELECT message_id, min(source) AS source
    FROM recipient
    WHERE message_id IN (SELECT message_id FROM batch WHERE kind = 'OutOfBandBounce')
    GROUP BY message_id
) r USING (message_id)
WHERE kind = 'OutOfBandBounce' AND coalesce(b.proof, '') <> ''
GROUP BY ALL
"""  # noqa: S608

# Hours whose counts by domain, pool and provider are made anew by reputation/parts.py
_PARTS_DUE = """
INSERT INTO part_due
SELECT DISTINCT date_trunc('hour', CASE kind WHEN 'Reception' THEN received_at ELSE logged_at END)
FROM batch
WHERE kind IN ('Reception', 'Rejection', 'Delivery', 'Bounce', 'Expiration')
UNION
SELECT DISTINCT date_trunc('hour', reported_at)
FROM complaint
WHERE message_id IN (SELECT message_id FROM touched)
UNION
SELECT DISTINCT date_trunc('hour', reported_at)
FROM batch
WHERE kind = 'OutOfBandBounce' AND coalesce(proof, '') <> ''
"""

# The recipients of a dropped message that had no outcome yet.
_DROPPED = """
INSERT INTO recipient BY NAME
SELECT m.message_id,
       rcpt.id AS recipient_id,
       'dropped' AS outcome,
       m.received_at,
       h.logged_at AS finished_at,
       epoch(h.logged_at) - epoch(m.received_at) AS queued_seconds,
       h.node, h.boot, h.seq, m.account, m.reseller, m.sender,
       rcpt.address AS recipient,
       h.reason AS text,
       false AS is_hard
FROM message m
JOIN held_event h ON h.message_id = m.message_id AND h.event = 'dropped', UNNEST(m.recipients) AS u(rcpt)
WHERE m.received_at >= $touched_from
  AND m.message_id IN (SELECT message_id FROM touched)
  AND (m.message_id, rcpt.id) NOT IN (
      SELECT (message_id, recipient_id)
      FROM recipient
      WHERE message_id IN (SELECT message_id FROM touched)
  )
"""

_STATUS = """
UPDATE message
SET status = fresh.status
FROM (
    SELECT m.message_id,
           CASE
               WHEN p.event = 'dropped' THEN 'dropped'
               WHEN p.event = 'held' OR (p.event IS NULL AND m.action = 'hold') THEN 'held'
               WHEN o.finals >= m.recipients_count AND o.delivered = o.finals THEN 'delivered'
               WHEN o.finals >= m.recipients_count AND o.delivered > 0 THEN 'partly delivered'
               WHEN o.finals >= m.recipients_count AND o.expired = o.finals THEN 'expired'
               WHEN o.finals >= m.recipients_count THEN 'bounced'
               WHEN d.message_id IS NOT NULL THEN 'deferred'
               WHEN p.event = 'released' THEN 'released'
               ELSE 'accepted'
           END AS status
    FROM message m
    JOIN touched USING (message_id)
    LEFT JOIN (
        SELECT message_id,
               count(*) AS finals,
               count(*) FILTER (outcome = 'delivered') AS delivered,
               count(*) FILTER (outcome = 'expired') AS expired
        FROM recipient
        JOIN touched USING (message_id)
        WHERE received_at >= $touched_from
        GROUP BY message_id
    ) o USING (message_id)
    LEFT JOIN (
        SELECT message_id, arg_max(event, (logged_at, boot, seq)) AS event
        FROM held_event
        JOIN touched USING (message_id)
        GROUP BY message_id
    ) p USING (message_id)
    LEFT JOIN (
        SELECT DISTINCT message_id
        FROM deferral
        JOIN touched USING (message_id)
        WHERE received_at >= $touched_from
    ) d USING (message_id)
    WHERE m.received_at >= $touched_from
) fresh
WHERE message.message_id = fresh.message_id
  AND message.received_at >= $touched_from
  AND message.status <> fresh.status
"""


def follow(connection: Connection, span: dict[str, Any], policy: Policy) -> None:
    """Bring everything up to date with the rows of `batch`, whose span `insert` returned."""
    values = span | {"hold_score": policy.hold_score, "suspect_score": policy.suspect_score}
    counting.begin(connection)
    run(connection, _ROLLUP, values)
    connection.execute(_TOUCHED)
    values["touched_from"] = _touched_from(connection, span)
    run(connection, _ATTRIBUTE, values)
    run(connection, _ATTRIBUTE_COMPLAINTS, values)
    run(connection, _ROLLUP_COMPLAINTS, values)
    if span["returns"]:
        run(connection, _ROLLUP_RETURNED, values)
    counting.spread(connection)
    run(connection, _PARTS_DUE, values)
    run(connection, _DROPPED, values)
    run(connection, _STATUS, values)


def _touched_from(connection: Connection, span: dict[str, Any]) -> Any:
    """The instant before which no touched message was received: statements below then skip older row groups."""
    if span["parkings"] or span["complaints"]:
        return connection.sql(_TOUCHED_FROM).to_arrow_table().column(0)[0].as_py()
    return span["received_from"]
