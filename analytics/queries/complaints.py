"""The questions about complaints: by sender, campaign and day, with both denominators; see named.py.

Two denominators, because many receivers never report: all that was delivered, and what was delivered to destinations
from which a complaint has come in 90 days (`reached`). The truth lies above both: providers divide by what reached the
inbox. Only abuse, fraud and virus count here, as for labels and culprits; triggers and reputation count type other too.
The sandbox's are left out everywhere but in the list of all.
"""

_COUNTED = "coalesce(feedback_type, 'abuse') IN ('abuse', 'fraud', 'virus')"

# Destinations whose people's complaints come back to us.
_LOOPS = """
    SELECT DISTINCT r.destination
    FROM recipient r
    WHERE r.message_id IN (
        SELECT message_id FROM complaint WHERE reported_at >= $now - INTERVAL 90 DAY AND sandbox IS NOT TRUE
    )
      AND r.received_at >= $now - INTERVAL 97 DAY
"""

COMPLAINT_SENDERS = f"""
WITH loops AS ({_LOOPS}),
heard AS (
    SELECT sender, account, count(*) AS complaints, max(reported_at) AS last_at,
           list_sort(list(DISTINCT provider) FILTER (provider <> '')) AS providers
    FROM complaint
    WHERE reported_at >= $since AND {_COUNTED} AND sandbox IS NOT TRUE AND {{scope}}
    GROUP BY sender, account
),
left_us AS (
    SELECT sender,
           count(*) AS delivered,
           count(*) FILTER (destination IN (SELECT destination FROM loops)) AS reached
    FROM recipient
    WHERE finished_at >= $since AND outcome = 'delivered' AND sandbox IS NOT TRUE
      AND sender IN (SELECT sender FROM heard)
    GROUP BY sender
)
SELECT h.sender, h.account, h.complaints, coalesce(l.delivered, 0) AS delivered, coalesce(l.reached, 0) AS reached,
       h.providers, h.last_at
FROM heard h
LEFT JOIN left_us l USING (sender)
ORDER BY h.complaints DESC, h.sender
LIMIT $limit
"""  # noqa: S608 - our own text

# A campaign is one text (its fingerprint, else its subject) of one sender.
COMPLAINT_CAMPAIGNS = f"""
WITH heard AS (
    SELECT c.message_id, c.reported_at
    FROM complaint c
    WHERE c.reported_at >= $since AND {_COUNTED} AND c.sandbox IS NOT TRUE AND {{scope}}
),
named AS (
    SELECT m.sender, m.account, coalesce(nullif(m.fingerprint, ''), m.subject, '') AS campaign, m.subject,
           m.f_from_domain, h.reported_at
    FROM heard h
    JOIN message m USING (message_id)
),
counted AS (
    SELECT sender, account, campaign, arg_max(subject, reported_at) AS subject,
           arg_max(f_from_domain, reported_at) AS from_domain, count(*) AS complaints, max(reported_at) AS last_at
    FROM named
    GROUP BY sender, account, campaign
    ORDER BY complaints DESC
    LIMIT $limit
),
texts AS (
    SELECT m.message_id, m.sender, coalesce(nullif(m.fingerprint, ''), m.subject, '') AS campaign
    FROM message m
    WHERE m.received_at >= $since - INTERVAL 7 DAY AND m.sender IN (SELECT sender FROM counted)
),
left_us AS (
    SELECT t.sender, t.campaign, count(*) AS delivered
    FROM recipient r
    JOIN texts t USING (message_id)
    WHERE r.received_at >= $since - INTERVAL 7 DAY AND r.outcome = 'delivered' AND r.sandbox IS NOT TRUE
    GROUP BY t.sender, t.campaign
)
SELECT c.subject, c.sender, c.account, c.from_domain, c.complaints, coalesce(l.delivered, 0) AS delivered, c.last_at
FROM counted c
LEFT JOIN left_us l USING (sender, campaign)
ORDER BY c.complaints DESC, c.last_at DESC
"""  # noqa: S608

# Days are counted as numbers first: date_trunc of thirteen million instants took seven times as long as all the rest.
COMPLAINT_DAYS = f"""
WITH loops AS ({_LOOPS}),
heard AS (
    SELECT date_trunc('day', reported_at) AS day_at, count(*) AS complaints
    FROM complaint
    WHERE reported_at >= $since AND {_COUNTED} AND sandbox IS NOT TRUE AND {{scope}}
    GROUP BY day_at
),
by_destination AS (
    SELECT epoch_us(finished_at) // 86400000000 AS day, destination, count(*) AS delivered
    FROM recipient
    WHERE finished_at >= $since AND outcome = 'delivered' AND sandbox IS NOT TRUE AND {{scope}}
    GROUP BY ALL
),
left_us AS (
    SELECT to_timestamp(86400 * day) AS day_at,
           sum(delivered) AS delivered,
           coalesce(sum(delivered) FILTER (destination IN (SELECT destination FROM loops)), 0) AS reached
    FROM by_destination
    GROUP BY day
)
SELECT day_at, coalesce(h.complaints, 0) AS complaints, coalesce(l.delivered, 0) AS delivered,
       coalesce(l.reached, 0) AS reached
FROM left_us l
FULL JOIN heard h USING (day_at)
ORDER BY day_at
"""  # noqa: S608

COMPLAINTS = """
SELECT reported_at, provider, feedback_type, account, sender, recipient, message_id
FROM complaint
WHERE reported_at >= $since AND ($sender = '' OR sender = $sender) AND {scope}
ORDER BY reported_at DESC
LIMIT $limit
"""

FEEDBACK_ROWS = """
SELECT taken_at, loop, type, named, reporter, source_ip, original_mail_from, original_rcpt_to, message_id, incidents
FROM feedback
WHERE taken_at >= $since
ORDER BY taken_at DESC
LIMIT $limit
"""

# Who sent DMARC reports, and how much they speak for.
DMARC_REPORTERS = """
SELECT org, count(DISTINCT report_key) AS reports, sum(messages) AS messages, max(end_at) AS data_at
FROM dmarc
WHERE end_at >= $since AND ($domain = '' OR domain = lower($domain)) AND {scope}
GROUP BY org
ORDER BY messages DESC
LIMIT $limit
"""
