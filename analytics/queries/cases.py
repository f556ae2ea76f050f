"""The questions of an abuse desk about a sender, a text, and its own decisions; see named.py, which names them."""

# Recipients of each hour since $since, and what was usual at that hour of the day, its two neighbours with it, in the
# 28 days before: quiet hours are zeros, working days and weekends stand apart, and hours before the sender's first
# mail do not count. Fewer than 6 such hours say nothing, so low, usual and high are NULL then.
SENDER_HOURS = """
WITH per_hour AS (
    SELECT hour AS hour_at, sum(recipients) AS recipients
    FROM rollup_hour
    WHERE sender = $sender AND hour >= date_trunc('hour', $since - INTERVAL 28 DAY) AND {scope}
    GROUP BY ALL
),
hours AS (
    SELECT h.hour_at, coalesce(p.recipients, 0) AS recipients, hour(h.hour_at) AS hour,
           isodow(h.hour_at) > 5 AS is_weekend
    FROM (
        SELECT unnest(generate_series(
            (SELECT min(hour_at) FROM per_hour), date_trunc('hour', $now), INTERVAL 1 HOUR
        )) AS hour_at
    ) h
    LEFT JOIN per_hour p USING (hour_at)
)
SELECT a.hour_at AS bucket_at,
       any_value(a.recipients) AS recipients,
       CASE WHEN count(b.hour_at) >= 6 THEN quantile_cont(b.recipients, 0.05) END AS low,
       CASE WHEN count(b.hour_at) >= 6 THEN quantile_cont(b.recipients, 0.5) END AS usual,
       CASE WHEN count(b.hour_at) >= 6 THEN quantile_cont(b.recipients, 0.95) END AS high
FROM hours a
LEFT JOIN hours b
    ON b.hour_at < date_trunc('hour', $since)
   AND b.hour_at >= date_trunc('hour', $since) - INTERVAL 28 DAY
   AND b.is_weekend = a.is_weekend
   AND (abs(b.hour - a.hour) <= 1 OR abs(b.hour - a.hour) = 23)
WHERE a.hour_at >= date_trunc('hour', $since)
GROUP BY a.hour_at
ORDER BY a.hour_at
"""

SENDER_UNIQUE = """
SELECT date_trunc('hour', received_at) AS bucket_at,
       count(*) AS recipients,
       count(DISTINCT lower(address)) AS unique_recipients
FROM (
    SELECT received_at, unnest(recipients).address AS address
    FROM message
    WHERE sender = $sender AND received_at >= $since AND {scope}
)
GROUP BY ALL
ORDER BY bucket_at
"""

_JUDGED = """
    SELECT received_at AS judged_at, action, score, subject, script, client_ip, country, asn, credential, fingerprint
    FROM message
    WHERE sender = $sender AND received_at >= $since AND {scope}
    UNION ALL
    SELECT logged_at, action, score, subject, script, client_ip, country, asn, credential, fingerprint
    FROM rejection
    WHERE sender = $sender AND logged_at >= $since AND {scope}
"""

_FIGURES = """count(*) AS messages,
       count(*) FILTER (action = 'hold') AS held,
       count(*) FILTER (action IN ('reject', 'defer')) AS refused,
       avg(score) AS mean_score,
       max(judged_at) AS last_at"""

SENDER_SCRIPTS = f"""
SELECT script, {_FIGURES}
FROM ({_JUDGED})
WHERE script <> ''
GROUP BY script
ORDER BY messages DESC, script
LIMIT $limit
"""  # noqa: S608 - our own text

# Subjects that differ in their numbers only are one; `subjects` says how many it stands for.
SENDER_SUBJECTS = f"""
SELECT regexp_replace(trim(subject), '[0-9]+', '#', 'g') AS subject,
       count(DISTINCT subject) AS subjects,
       {_FIGURES}
FROM ({_JUDGED})
WHERE trim(subject) <> ''
GROUP BY ALL
ORDER BY messages DESC, subject
LIMIT $limit
"""  # noqa: S608

# Networks are written as the first three numbers of an IPv4 address, or the first four groups of an IPv6 one.
SENDER_LOGINS = f"""
SELECT if(contains(client_ip, ':'),
          array_to_string(string_split(client_ip, ':')[1:4], ':') || '::/64',
          array_to_string(string_split(client_ip, '.')[1:3], '.') || '.0/24') AS network,
       max(coalesce(country, '')) AS country,
       coalesce('AS' || nullif(max(asn), 0), '') AS system,
       count(DISTINCT client_ip) AS addresses,
       string_agg(DISTINCT nullif(credential, ''), ', ') AS logins,
       min(judged_at) AS first_at,
       {_FIGURES}
FROM ({_JUDGED})
WHERE client_ip <> ''
GROUP BY ALL
ORDER BY last_at DESC, network
LIMIT $limit
"""  # noqa: S608

SENDER_DOMAINS = """
SELECT lower(split_part(recipient, '@', -1)) AS domain,
       count(*) AS recipients,
       count(*) FILTER (outcome = 'delivered') AS delivered,
       count(*) FILTER (outcome IN ('bounced', 'expired')) AS bounced,
       count(*) FILTER (is_hard) AS hard_bounced
FROM recipient
WHERE sender = $sender AND finished_at >= $since AND {scope}
GROUP BY ALL
ORDER BY recipients DESC, domain
LIMIT $limit
"""

# Who else sent nearly this text: a fingerprint is "EXACT-" and four bands of 8 characters, of which one is the same
# at its place in nearly equal texts (relay/content/fingerprint.py).
SAME_TEXT = """
SELECT sender,
       account,
       count(*) AS messages,
       count(*) FILTER (action = 'hold' OR status IN ('held', 'released')) AS held,
       avg(score) AS mean_score,
       arg_max(subject, received_at) AS subject,
       max(received_at) AS last_at
FROM message
WHERE received_at >= $since
  AND length(fingerprint) >= 49
  AND (
      substr(fingerprint, 18, 8) = substr($fingerprint, 18, 8)
      OR substr(fingerprint, 26, 8) = substr($fingerprint, 26, 8)
      OR substr(fingerprint, 34, 8) = substr($fingerprint, 34, 8)
      OR substr(fingerprint, 42, 8) = substr($fingerprint, 42, 8)
  )
  AND {scope}
GROUP BY ALL
ORDER BY messages DESC, sender
LIMIT $limit
"""

# Of what the relay decided by itself in each week, how much a person has taken back as wrong, or released otherwise.
OVERTURNED = """
WITH own AS (
    SELECT decision_id, starts_at
    FROM decision
    WHERE author = 'relay' AND effect IN ('throttle', 'hold', 'block', 'suspend') AND starts_at >= $since AND {scope}
),
answers AS (
    SELECT supersedes AS decision_id,
           bool_or(evidence ->> '$.as' = 'not_spam') AS is_overturned
    FROM decision
    WHERE effect = 'release' AND author <> 'relay' AND supersedes <> '' AND starts_at >= $since AND {scope}
    GROUP BY supersedes
)
SELECT date_trunc('week', starts_at) AS week_at,
       count(*) AS decided,
       count(*) FILTER (is_overturned) AS overturned,
       count(*) FILTER (is_overturned = false) AS released
FROM own
LEFT JOIN answers USING (decision_id)
GROUP BY ALL
ORDER BY week_at DESC
"""
