"""The questions about one sender or one message; see named.py, which names them."""

SENDER_SUMMARY = """
WITH flow AS (
    SELECT sum(accepted + held + rejected + throttled) AS messages,
           sum(held + parked) AS held,
           sum(rejected + throttled) AS refused,
           sum(delivered) AS delivered,
           sum(bounced) AS bounced,
           sum(complaints) AS complaints
    FROM rollup_hour
    WHERE sender = $sender AND {scope}
),
edge AS (
    (SELECT received_at FROM message WHERE sender = $sender AND {scope} ORDER BY received_at LIMIT 1)
    UNION ALL
    (SELECT received_at FROM message WHERE sender = $sender AND {scope} ORDER BY received_at DESC LIMIT 1)
    UNION ALL
    (SELECT logged_at FROM rejection WHERE sender = $sender AND {scope} ORDER BY logged_at LIMIT 1)
    UNION ALL
    (SELECT logged_at FROM rejection WHERE sender = $sender AND {scope} ORDER BY logged_at DESC LIMIT 1)
),
span AS (
    SELECT min(received_at) AS first_at, max(received_at) AS last_at FROM edge
),
used AS (
    SELECT coalesce(list_sort(list(DISTINCT script) FILTER (script <> '')), []) AS scripts
    FROM (
        SELECT script
        FROM message
        WHERE sender = $sender AND received_at >= $now - INTERVAL 14 DAY AND {scope}
        UNION ALL
        SELECT script
        FROM rejection
        WHERE sender = $sender AND logged_at >= $now - INTERVAL 14 DAY AND {scope}
    )
),
standing AS (
    SELECT score, low, high, band, n, points AS points_json
    FROM reputation_now
    WHERE entity_kind = 'sender' AND entity = $sender AND {scope}
)
SELECT $sender AS sender,
       first_at,
       last_at,
       coalesce(messages, 0) AS messages,
       coalesce(held, 0) AS held,
       coalesce(refused, 0) AS refused,
       coalesce(delivered, 0) AS delivered,
       coalesce(bounced, 0) AS bounced,
       coalesce(complaints, 0) AS complaints,
       scripts,
       score,
       low,
       high,
       coalesce(band, 'unknown') AS band,
       coalesce(n, 0) AS n,
       points_json
FROM flow, span, used
LEFT JOIN standing ON true
"""

# The newest messages first by themselves, of each table its own, so that older row groups are skipped; then what became
# of only these.
SENDER_MESSAGES = """
WITH taken AS (
    SELECT message_id, received_at, action, rule, score, mail_from, recipients_count AS recipients, subject, script,
           status AS outcome, NULL AS text
    FROM message
    WHERE sender = $sender AND {scope}
    ORDER BY received_at DESC
    LIMIT $limit
),
refused AS (
    SELECT message_id, logged_at, action, rule, score, mail_from, recipients_count, subject, script,
           'refused', concat_ws(' ', code, enhanced, text)
    FROM rejection
    WHERE sender = $sender AND {scope}
    ORDER BY logged_at DESC
    LIMIT $limit
),
judged AS (
    FROM taken
    UNION ALL
    FROM refused
),
newest AS (
    SELECT * FROM judged ORDER BY received_at DESC, message_id DESC LIMIT $limit
),
replies AS (
    SELECT message_id, arg_max(concat_ws(' ', nullif(code, 0), nullif(enhanced, ''), text), tried_at) AS text
    FROM attempt
    WHERE message_id IN (SELECT message_id FROM newest)
      AND received_at >= (SELECT min(received_at) FROM newest) - INTERVAL 1 SECOND
    GROUP BY message_id
)
SELECT n.* REPLACE (coalesce(n.text, r.text, '') AS text)
FROM newest n
LEFT JOIN replies r USING (message_id)
ORDER BY n.received_at DESC, n.message_id DESC
"""

MESSAGE = """
WITH judged AS (
    SELECT * FROM message WHERE message_id = $message_id AND {scope}
    UNION ALL BY NAME
    SELECT *, 'refused' AS status, logged_at AS received_at
    FROM rejection
    WHERE message_id = $message_id AND message_id <> '' AND {scope}
),
tries AS (
    SELECT recipient_id AS id,
           tried_at,
           outcome,
           attempt,
           destination,
           remote,
           tls,
           code,
           enhanced,
           text,
           queued_seconds,
           due_at
    FROM attempt
    WHERE message_id = $message_id
),
finals AS (
    SELECT recipient_id AS id, outcome, finished_at, destination, code, enhanced, text
    FROM recipient
    WHERE message_id = $message_id
),
rcpts AS (
    SELECT j.received_at, unnest(j.recipients) AS rcpt FROM judged j
)
SELECT j.* REPLACE (
           (
               SELECT coalesce(to_json(list(struct_pack(
                   id := r.rcpt.id,
                   address := r.rcpt.address,
                   outcome := coalesce(f.outcome, 'waiting'),
                   finished_at := f.finished_at,
                   destination := f.destination,
                   code := f.code,
                   enhanced := f.enhanced,
                   text := f.text
               ) ORDER BY r.rcpt.id)), '[]')
               FROM rcpts r
               LEFT JOIN finals f ON f.id = r.rcpt.id
           ) AS recipients,
           to_json(reasons) AS reasons
       ),
       (SELECT coalesce(to_json(list(t ORDER BY t.tried_at)), '[]') FROM tries t) AS tries,
       (
           SELECT coalesce(to_json(list(struct_pack(
               event := event, logged_at := logged_at, decision_id := decision_id, author := author,
               verdict := verdict, reason := reason
           ) ORDER BY logged_at, seq)), '[]')
           FROM held_event
           WHERE message_id = $message_id
       ) AS held_events,
       (
           SELECT coalesce(to_json(list(struct_pack(
               reported_at := reported_at, provider := provider, feedback_type := feedback_type, recipient := recipient
           ) ORDER BY reported_at)), '[]')
           FROM complaint
           WHERE message_id = $message_id
       ) AS complaints
FROM judged j
LIMIT 1
"""
