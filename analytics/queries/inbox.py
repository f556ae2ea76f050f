"""The questions about what came to the inboxes: late bounces, complaints, suppressed addresses, cases; see named.py.

What no proof traces to mail of ours is nobody's: only whoever sees the whole installation sees it, as a count.
"""

OUT_OF_BAND = """
SELECT reported_at, account, sender, message_id, recipient, proof, category, is_hard, enhanced, text, confidence, rule,
       file
FROM out_of_band
WHERE reported_at >= $since AND proof <> '' AND ($sender = '' OR sender = $sender) AND {scope}
ORDER BY reported_at DESC, recipient
LIMIT $limit
"""

OUT_OF_BAND_SENDERS = """
SELECT b.sender, b.account, b.bounces, b.hard, b.recipients, b.categories, b.last_at,
       coalesce(d.delivered, 0) AS delivered,
       b.hard / nullif(d.delivered, 0) AS hard_share
FROM (
    SELECT sender, account, count(*) AS bounces, count(*) FILTER (is_hard) AS hard,
           count(DISTINCT recipient) AS recipients, list_sort(list(DISTINCT category)) AS categories,
           max(reported_at) AS last_at
    FROM out_of_band
    WHERE reported_at >= $since AND proof <> '' AND {scope}
    GROUP BY ALL
) b
LEFT JOIN (
    SELECT sender, sum(delivered) AS delivered
    FROM rollup_hour
    WHERE hour >= date_trunc('hour', $since) AND {scope}
    GROUP BY sender
) d USING (sender)
ORDER BY bounces DESC, sender
LIMIT $limit
"""

BACKSCATTER = """
SELECT kind, day_at, sum(n) AS reports, max(last_at) AS last_at
FROM (
    SELECT 'bounce' AS kind, date_trunc('day', reported_at) AS day_at, count(*) AS n, max(reported_at) AS last_at
    FROM out_of_band
    WHERE reported_at >= $since AND proof = ''
    GROUP BY ALL
    UNION ALL
    SELECT 'complaint', date_trunc('day', reported_at), count(*), max(reported_at)
    FROM complaint
    WHERE reported_at >= $since AND report_key <> '' AND proof = ''
    GROUP BY ALL
)
GROUP BY ALL
ORDER BY day_at DESC, kind
"""

# Two denominators: all that was delivered, and what was delivered to the providers that told of a complaint at all. The
# second is the nearer one; both make a rate that is too low where providers divide by what reached the inbox.
_COMPLAINTS = """
WITH told AS (
    SELECT c.message_id, c.account, c.sender, c.reported_at, c.recipient_id, {key} AS thing, {named} AS name
    FROM (
        SELECT * FROM complaint WHERE reported_at >= $since AND sender <> '' AND sandbox IS NOT TRUE AND {{scope}}
    ) c
    LEFT JOIN message m ON m.message_id = c.message_id AND c.message_id <> ''
),
chosen AS (
    SELECT thing FROM told GROUP BY thing ORDER BY count(*) DESC, thing LIMIT $limit
),
by_destination AS (
    SELECT {sent_key} AS thing, r.destination, count(*) AS delivered
    FROM (
        SELECT *
        FROM recipient
        WHERE finished_at >= $since AND outcome = 'delivered' AND sandbox IS NOT TRUE AND {{scope}}
    ) r
    {sent_join}
    GROUP BY ALL
),
heard AS (
    SELECT DISTINCT told.thing, r.destination
    FROM told
    JOIN recipient r ON r.message_id = told.message_id AND (told.recipient_id = 0 OR r.recipient_id = told.recipient_id)
    WHERE r.finished_at >= $since AND r.outcome = 'delivered' AND told.thing IN (FROM chosen)
),
counted AS (
    SELECT thing,
           sum(delivered) AS delivered,
           sum(delivered) FILTER ((thing, destination) IN (SELECT (thing, destination) FROM heard))
               AS delivered_to_providers
    FROM by_destination
    GROUP BY thing
)
SELECT told.thing AS {column}, any_value(told.name) AS name, any_value(told.account) AS account,
       count(DISTINCT told.sender) AS senders,
       count(*) AS complaints,
       coalesce(any_value(counted.delivered), 0) AS delivered,
       coalesce(any_value(counted.delivered_to_providers), 0) AS delivered_to_providers,
       count(*) / nullif(any_value(counted.delivered), 0) AS rate,
       count(*) / nullif(any_value(counted.delivered_to_providers), 0) AS rate_at_providers,
       max(told.reported_at) AS last_at
FROM told
LEFT JOIN counted USING (thing)
WHERE told.thing IN (FROM chosen)
GROUP BY told.thing
ORDER BY complaints DESC, {column}
LIMIT $limit
"""
# A campaign is what one account sent with nearly the same text; without a fingerprint, under the same subject.
_CAMPAIGN = "m.account || '|' || coalesce(nullif(m.fingerprint, ''), m.subject, '')"

COMPLAINTS_BY_SENDER = _COMPLAINTS.format(
    column="sender",
    key="c.sender",
    named="c.sender",
    sent_key="r.sender",
    sent_join="WHERE r.sender IN (FROM chosen)",
)
# The messages of the campaigns that are shown are found first; no message waits for its end longer than a week.
COMPLAINTS_BY_CAMPAIGN = _COMPLAINTS.format(
    column="campaign",
    key=f"coalesce({_CAMPAIGN}, c.account || '|')",
    named="coalesce(m.subject, '')",
    sent_key="t.thing",
    sent_join=f"""JOIN (
        SELECT m.message_id, {_CAMPAIGN} AS thing
        FROM message m
        WHERE m.received_at >= $since - INTERVAL 7 DAY AND {_CAMPAIGN} IN (FROM chosen)
    ) t ON t.message_id = r.message_id""",  # noqa: S608 - our own text
)

CASES = """
SELECT case_id, status, opened_at, recipient, mail_from, subject, changed_at, author, why
FROM abuse_case
WHERE opened_at >= $since AND ($status = '' OR status = $status)
ORDER BY opened_at DESC
LIMIT $limit
"""

# Rows that a bounce, a complaint or a click put on a list; what people entered is in the list alone.
SUPPRESSED = """
SELECT account, reason, count(*) AS addresses, count(*) FILTER (ends_at IS NULL OR ends_at > $now) AS in_force,
       max(logged_at) AS last_at
FROM (
    SELECT account, reseller, reason, ends_at, logged_at FROM suppressed
    UNION ALL
    SELECT account, reseller, 'unsubscribe', NULL, logged_at FROM unsubscribe
)
WHERE logged_at >= $since AND {scope}
GROUP BY ALL
ORDER BY addresses DESC, account, reason
"""

INBOX = """
SELECT report_type, found, count(*) AS mails, sum(bounces) AS bounces, sum(complaints) AS complaints,
       count(*) FILTER (proof <> '') AS traced, max(logged_at) AS last_at
FROM report_read
WHERE logged_at >= $since
GROUP BY ALL
ORDER BY mails DESC, report_type, found
"""
