"""The SQL of a search. A row is one recipient's way of one message, so that every condition is about the same way.

First the keys of the ways that match are found, reading only the columns that the conditions need; then what is shown
is read for those alone. All tables are read between two instants of reception: they lie in that order, and their zone
maps skip the rest.
"""

import pyarrow as pa

from analytics.search.compiling import Filters

# What a search answers, in this order. `recipient_id` is NULL for what was refused, `recipient` where none was named.
SCHEMA = pa.schema(
    [
        ("message_id", pa.string()),
        ("received_at", pa.timestamp("us", "UTC")),
        ("account", pa.string()),
        ("sender", pa.string()),
        ("mail_from", pa.string()),
        ("recipient", pa.string()),
        ("subject", pa.string()),
        ("action", pa.string()),
        ("rule", pa.string()),
        ("outcome", pa.string()),
        ("class", pa.string()),
        ("reply", pa.string()),
        ("client_ip", pa.string()),
        ("score", pa.float64()),
        ("destination", pa.string()),
        ("source", pa.string()),
        ("tries", pa.int64()),
        ("queued_seconds", pa.float64()),
        ("size_bytes", pa.int64()),
        ("header_from", pa.string()),
        ("script", pa.string()),
        ("status", pa.string()),
        ("node", pa.string()),
        ("recipient_id", pa.int64()),
    ]
)

_JUDGED = """
judged AS NOT MATERIALIZED (
    SELECT *
    FROM (
        SELECT *, false AS is_refused
        FROM message
        WHERE received_at >= $begin_at AND received_at < $end_at AND {scope}
        UNION ALL BY NAME
        SELECT * EXCLUDE (code, enhanced, text),
               true AS is_refused,
               logged_at AS received_at,
               'refused' AS status,
               concat_ws(' ', nullif(code, 0), nullif(enhanced, ''), text) AS refused_reply,
               code AS refused_code,
               enhanced AS refused_enhanced
        FROM rejection
        WHERE logged_at >= $begin_at AND logged_at < $end_at AND {scope}
    )
    WHERE {where}
)"""

# What has its end is read from `recipient`, so that conditions on an address or an end choose rows before anything is
# joined; only of messages that are not done with, and of refusals, the recipients are looked at one by one. `place`
# tells the ways of a message apart. Attempts carry the reception as the spool has it, which may differ by a rounding.
_WAY = """
ended AS NOT MATERIALIZED (
    SELECT message_id, recipient_id, recipient, outcome, category, code, enhanced, text, destination, remote, source,
           tls, attempt, queued_seconds
    FROM recipient
    WHERE received_at >= $begin_at - INTERVAL 1 SECOND AND received_at < $end_at + INTERVAL 1 SECOND AND {scope}
),
tried AS NOT MATERIALIZED (
    SELECT *
    FROM deferral
    WHERE received_at >= $begin_at - INTERVAL 1 SECOND AND received_at < $end_at + INTERVAL 1 SECOND AND {scope}
),
put_off AS NOT MATERIALIZED (
    SELECT message_id,
           recipient_id,
           arg_max(struct_pack(category, code, enhanced, text, destination, remote, source, tls, attempt), logged_at)
               AS last
    FROM tried
    GROUP BY message_id, recipient_id
),
each AS NOT MATERIALIZED (
    SELECT * EXCLUDE (place),
           rcpt.address AS address,
           CASE WHEN is_refused THEN place ELSE rcpt.id END AS place
    FROM (
        SELECT *,
               unnest(CASE WHEN len(recipients) > 0 THEN recipients ELSE [NULL] END) AS rcpt,
               unnest(range(1, greatest(len(recipients), 1) + 1)) AS place
        FROM judged
        WHERE is_refused OR status NOT IN ('delivered', 'partly delivered', 'bounced', 'expired', 'dropped')
    )
    WHERE is_refused OR (message_id, rcpt.id) NOT IN (SELECT (message_id, recipient_id) FROM ended)
),
way AS NOT MATERIALIZED (
    SELECT j.*,
           f.recipient AS address,
           f.recipient_id AS place,
           f.outcome AS outcome,
           coalesce(f.category, '') AS class,
           f.code AS code,
           coalesce(f.enhanced, '') AS enhanced,
           concat_ws(' ', nullif(f.code, 0), nullif(f.enhanced, ''), f.text) AS reply,
           coalesce(f.destination, '') AS destination,
           coalesce(f.remote, '') AS remote,
           coalesce(f.source, '') AS source,
           coalesce(f.tls, '') AS out_tls,
           coalesce(f.attempt, 0) AS tries,
           f.queued_seconds AS queued_seconds
    FROM judged j
    JOIN ended f ON f.message_id = j.message_id
    WHERE NOT j.is_refused
    UNION ALL
    SELECT e.* EXCLUDE (rcpt, address, place),
           e.address,
           e.place,
           CASE
               WHEN e.is_refused THEN 'refused'
               WHEN e.status = 'held' THEN 'held'
               WHEN d.last IS NOT NULL THEN 'deferred'
               ELSE 'waiting'
           END,
           coalesce(d.last.category, ''),
           coalesce(e.refused_code, d.last.code),
           coalesce(e.refused_enhanced, d.last.enhanced, ''),
           coalesce(
               e.refused_reply,
               concat_ws(' ', nullif(d.last.code, 0), nullif(d.last.enhanced, ''), d.last.text)
           ),
           coalesce(d.last.destination, ''),
           coalesce(d.last.remote, ''),
           coalesce(d.last.source, ''),
           coalesce(d.last.tls, ''),
           coalesce(d.last.attempt, 0),
           NULL
    FROM each e
    LEFT JOIN put_off d ON d.message_id = e.message_id AND d.recipient_id = e.place AND NOT e.is_refused
)"""

_SHOWN = """
SELECT message_id, received_at, account, sender, mail_from, address AS recipient, subject, action, rule, outcome,
       class, reply, client_ip, score, destination, source, tries, queued_seconds, size_bytes, header_from, script,
       status, node, CASE WHEN is_refused THEN NULL ELSE place END AS recipient_id
FROM way
WHERE (node, boot, seq, place) IN (SELECT (node, boot, seq, place) FROM wanted)
   OR (node, boot, seq, -1) IN (SELECT (node, boot, seq, place) FROM wanted)
ORDER BY received_at DESC, seq DESC, place
"""


def finding(filters: Filters, scope: str) -> str:
    """The keys of what matches, newest first, at most `$rows`; `place` -1 means all recipients of the message."""
    parts, source, place = [_JUDGED.format(scope=scope, where=filters.of_message)], "judged", "-1"
    if filters.is_of_ways:
        parts.append(_WAY.format(scope=scope))
        source, place = "way", "place"
    return (
        f"WITH {','.join(parts)}\n"
        f"SELECT node, boot, seq, {place} AS place, received_at\n"
        f"FROM {source}\n"
        f"WHERE {filters.of_way}\n"
        f"ORDER BY received_at DESC, seq DESC, place\n"
        f"LIMIT $rows"
    )


def showing(scope: str) -> str:
    """What is shown of the keys in the table `wanted`, in the same order."""
    judged = _JUDGED.format(scope=scope, where="(node, boot, seq) IN (SELECT (node, boot, seq) FROM wanted)")
    return f"WITH {judged},{_WAY.format(scope=scope)}{_SHOWN}"
