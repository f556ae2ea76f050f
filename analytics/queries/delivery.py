"""The questions about delivery, bounces and complaints: by destination, source, class, campaign; see named.py.

Replies differ in a number, an address, a host: `_pattern` leaves out what differs, so that one cause is one row. It is
made of what is already grouped by class and code, of at most 20,000 replies, the latest ones.
"""

from analytics.ingesting.consequences import IS_BLOCK

# Every try of the window, finished or not; `{{scope}}` is filled in by ask.py.
_TRIED = """
    SELECT destination, outcome, source, account, sender, recipient, message_id, attempt, category, is_hard, code,
           enhanced, text, queued_seconds, finished_at AS tried_at
    FROM recipient
    WHERE finished_at >= $since AND outcome <> 'dropped' AND {scope}
    UNION ALL
    SELECT destination, 'deferred', source, account, sender, recipient, message_id, attempt, category, false, code,
           enhanced, text, queued_seconds, logged_at
    FROM deferral
    WHERE logged_at >= $since AND {scope}
"""

# Who was stopped at some time of the window; everybody else is innocent, and should not have waited for them.
_STOPPED = """
    SELECT DISTINCT sender
    FROM decision
    WHERE effect IN ('throttle', 'hold', 'block', 'suspend') AND (ends_at IS NULL OR ends_at >= $since)
"""

DESTINATION_FIGURES = f"""
WITH tried AS ({_TRIED}), stopped AS ({_STOPPED}),
figures AS (
    SELECT destination,
           count(*) AS tries,
           count(*) FILTER (outcome = 'delivered') AS delivered,
           count(*) FILTER (outcome = 'deferred') AS deferred,
           count(*) FILTER (outcome IN ('bounced', 'expired')) AS bounced,
           count(*) FILTER (outcome <> 'delivered' AND {IS_BLOCK}) AS blocked,
           approx_quantile(queued_seconds, [0.5, 0.95]) FILTER (outcome = 'delivered') AS seconds,
           approx_quantile(queued_seconds, 0.95) FILTER (
               outcome = 'delivered' AND sender NOT IN (SELECT sender FROM stopped)
           ) AS innocent_p95_seconds,
           max(tried_at) AS last_at
    FROM tried
    GROUP BY destination
)
SELECT destination, tries, delivered, deferred, bounced, blocked, seconds[1] AS p50_seconds, seconds[2] AS p95_seconds,
       innocent_p95_seconds, last_at
FROM figures
ORDER BY tries DESC, destination
LIMIT $limit
"""  # noqa: S608 - our own text

# The delay below which a share of the messages stayed, for those whose senders were stopped and for everybody else.
DESTINATION_DELAYS = f"""
WITH stopped AS ({_STOPPED}),
delivered AS (
    SELECT if(sender IN (SELECT sender FROM stopped), 'stopped', 'innocent') AS who, queued_seconds
    FROM recipient
    WHERE finished_at >= $since AND outcome = 'delivered' AND destination = $destination AND {{scope}}
),
kept AS (
    SELECT who,
           count(*) AS messages,
           quantile_cont(queued_seconds, [0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.98, 0.99, 1.0]) AS seconds
    FROM delivered
    GROUP BY who
)
SELECT who, messages, unnest([0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.98, 0.99, 1.0]::DOUBLE[]) AS share,
       unnest(seconds) AS seconds
FROM kept
ORDER BY who, share
"""  # noqa: S608

# How long delivery took over time, without senders that were stopped: what is freed later waited for no provider.
DESTINATION_PACE = f"""
WITH stopped AS ({_STOPPED})
SELECT to_timestamp(floor(epoch(finished_at) / $bucket_seconds) * $bucket_seconds) AS bucket_at,
       quantile_cont(queued_seconds, 0.5) AS p50_seconds,
       quantile_cont(queued_seconds, 0.95) AS p95_seconds,
       count(*) AS delivered
FROM recipient
WHERE finished_at >= $since AND outcome = 'delivered' AND destination = $destination AND sandbox IS NOT TRUE
  AND sender NOT IN (SELECT sender FROM stopped) AND {{scope}}
GROUP BY bucket_at
ORDER BY bucket_at
"""  # noqa: S608

DESTINATION_FLOW = f"""
WITH tried AS ({_TRIED})
SELECT to_timestamp(floor(epoch(tried_at) / $bucket_seconds) * $bucket_seconds) AS bucket_at,
       count(*) FILTER (outcome = 'delivered') AS delivered,
       count(*) FILTER (outcome = 'deferred') AS deferred,
       count(*) FILTER (outcome IN ('bounced', 'expired')) AS bounced
FROM tried
WHERE $destination = '' OR destination = $destination
GROUP BY bucket_at
ORDER BY bucket_at
"""  # noqa: S608

# What differs from reply to reply: quoted and bracketed parts, addresses, hosts, URLs, words with digits in them.
_PATTERN = (
    "trim(left(regexp_replace(regexp_replace(regexp_replace(left(coalesce(text, ''), 300), "
    "'<[^>]*>|\\([^)]*\\)|\\[[0-9a-fA-F.:]+\\]|https?://\\S+|\\S+@\\S+', '…', 'g'), "
    "'\\S*[0-9]\\S*', '…', 'g'), '…(\\s*…)*', '…', 'g'), 160))"
)

REPLIES = f"""
WITH tried AS ({_TRIED}),
chosen AS (
    SELECT *
    FROM tried
    WHERE outcome <> 'delivered'
      AND ($destination = '' OR destination = $destination)
      AND ($category = '' OR coalesce(nullif(category, ''), 'Unclassified') = $category)
      AND ($outcome = '' OR outcome = $outcome)
    ORDER BY tried_at DESC
    LIMIT 20000
)
SELECT coalesce(code, 0) AS code,
       coalesce(enhanced, '') AS enhanced,
       coalesce(nullif(category, ''), 'Unclassified') AS category,
       {_PATTERN} AS pattern,
       count(*) AS times,
       count(DISTINCT sender) AS senders,
       list_sort(list(DISTINCT source) FILTER (source <> '')) AS sources,
       arg_max(text, tried_at) AS text,
       arg_max(outcome, tried_at) AS outcome,
       max(tried_at) AS last_at
FROM chosen
GROUP BY ALL
ORDER BY times DESC, last_at DESC
LIMIT $limit
"""  # noqa: S608

# The rows behind a number, latest first.
TRIES = f"""
WITH tried AS ({_TRIED})
SELECT tried_at, outcome, account, sender, recipient, destination, source, attempt, category, code, enhanced, text,
       queued_seconds, message_id
FROM tried
WHERE ($destination = '' OR destination = $destination)
  AND ($outcome = '' OR outcome = $outcome OR ($outcome = 'failed' AND outcome <> 'delivered'))
  AND ($category = '' OR coalesce(nullif(category, ''), 'Unclassified') = $category)
  AND ($enhanced = '' OR enhanced = $enhanced)
  AND ($sender = '' OR sender = $sender)
  AND ($pattern = '' OR {_PATTERN} = $pattern)
  AND ($recipient = '' OR lower(recipient) = lower($recipient))
  AND ($domain = '' OR ends_with(lower(recipient), '@' || lower($domain)))
ORDER BY tried_at DESC
LIMIT $limit
"""  # noqa: S608

TRIES_PARAMS: dict[str, str | int] = {
    "destination": "",
    "outcome": "",
    "category": "",
    "enhanced": "",
    "pattern": "",
    "recipient": "",
    "domain": "",
    "sender": "",
    "limit": 100,
}

# By UTC day what left an address; from the counts of ten minutes, so it does not read the rows.
SOURCE_DAYS = """
SELECT split_part(entity, '|', 1) AS address,
       split_part(entity, '|', 2) AS destination,
       date_trunc('day', bucket) AS day_at,
       sum(messages) AS sent,
       sum(delivered) AS delivered,
       sum(bounced) AS bounced,
       sum(blocked) AS blocked
FROM rollup_part
WHERE entity_kind = 'ip_provider' AND bucket >= $since
GROUP BY ALL
ORDER BY ALL
LIMIT 10000
"""

BOUNCE_CLASSES = """
SELECT to_timestamp(floor(epoch(finished_at) / $bucket_seconds) * $bucket_seconds) AS bucket_at,
       coalesce(nullif(category, ''), if(outcome = 'expired', 'MessageExpired', 'Unclassified')) AS category,
       count(*) AS recipients
FROM recipient
WHERE finished_at >= $since AND outcome IN ('bounced', 'expired')
  AND ($destination = '' OR destination = $destination) AND sandbox IS NOT TRUE AND {scope}
GROUP BY ALL
ORDER BY ALL
"""

# By account, destination, sender or domain of the recipient: how many ended, and how.
BOUNCE_GROUPS = f"""
SELECT CASE $by WHEN 'account' THEN account
                WHEN 'sender' THEN sender
                WHEN 'domain' THEN lower(split_part(recipient, '@', -1))
                ELSE destination END AS name,
       count(*) AS ended,
       count(*) FILTER (outcome IN ('bounced', 'expired')) AS bounced,
       count(*) FILTER (is_hard) AS hard,
       count(*) FILTER (outcome IN ('bounced', 'expired') AND {IS_BLOCK}) AS blocked,
       count(*) FILTER (outcome = 'bounced' AND coalesce(category, '') IN ('', 'Unclassified')) AS unclassified,
       mode(category) FILTER (outcome = 'bounced' AND category <> '') AS top_category
FROM recipient
WHERE finished_at >= $since AND outcome <> 'dropped' AND ($destination = '' OR destination = $destination)
  AND sandbox IS NOT TRUE AND {{scope}}
GROUP BY name
HAVING bounced > 0
ORDER BY bounced DESC, name
LIMIT $limit
"""  # noqa: S608

BOUNCE_TOTALS = f"""
SELECT count(*) AS ended,
       count(*) FILTER (outcome IN ('bounced', 'expired')) AS bounced,
       count(*) FILTER (is_hard) AS hard,
       count(*) FILTER (outcome IN ('bounced', 'expired') AND {IS_BLOCK}) AS blocked,
       count(*) FILTER (outcome = 'bounced' AND coalesce(category, '') IN ('', 'Unclassified')) AS unclassified
FROM recipient
WHERE finished_at >= $since AND outcome <> 'dropped' AND ($destination = '' OR destination = $destination)
  AND sandbox IS NOT TRUE AND {{scope}}
"""  # noqa: S608
