"""The questions about what comes from outside by the day: DMARC, TLS, SNDS, Google, Yahoo, complaints; see named.py.

A domain's reports are seen by the account that owns it; those about addresses by whoever sees the whole installation.
"""

DMARC_DOMAINS = """
SELECT domain,
       account,
       sum(messages) AS messages,
       sum(messages) FILTER (dkim = 'pass' OR spf = 'pass') AS aligned,
       sum(messages) FILTER (disposition = 'quarantine') AS quarantined,
       sum(messages) FILTER (disposition = 'reject') AS rejected,
       count(DISTINCT source_ip) AS sources,
       count(DISTINCT org) AS reporters,
       max(end_at) AS data_at
FROM dmarc
WHERE end_at >= $since AND {scope}
GROUP BY domain, account
ORDER BY messages DESC, domain
LIMIT $limit
"""

DMARC_DAYS = """
SELECT date_trunc('day', begin_at) AS day_at,
       sum(messages) AS messages,
       sum(messages) FILTER (dkim = 'pass' OR spf = 'pass') AS aligned,
       sum(messages) FILTER (disposition IN ('quarantine', 'reject')) AS refused
FROM dmarc
WHERE end_at >= $since AND ($domain = '' OR domain = lower($domain)) AND {scope}
GROUP BY ALL
ORDER BY day_at
"""

# `ours`: an address that mail of this installation left from.
DMARC_SOURCES = """
SELECT source_ip,
       source_ip IN (SELECT DISTINCT source FROM recipient WHERE source <> '') AS ours,
       sum(messages) AS messages,
       sum(messages) FILTER (dkim = 'pass' OR spf = 'pass') AS aligned,
       sum(messages) FILTER (dkim = 'pass') AS dkim_aligned,
       sum(messages) FILTER (spf = 'pass') AS spf_aligned,
       sum(messages) FILTER (disposition IN ('quarantine', 'reject')) AS refused,
       list_sort(list(DISTINCT org)) AS reporters,
       max(end_at) AS data_at
FROM dmarc
WHERE end_at >= $since AND domain = lower($domain) AND {scope}
GROUP BY source_ip
ORDER BY messages DESC, source_ip
LIMIT $limit
"""

TLS_DOMAINS = """
SELECT domain,
       account,
       policy_type,
       sum(success) AS success,
       sum(failure) AS failure,
       coalesce(list_sort(list_distinct(flatten(list([f.result FOR f IN failures])))), []) AS results,
       max(end_at) AS data_at
FROM tls_report
WHERE end_at >= $since AND {scope}
GROUP BY domain, account, policy_type
ORDER BY failure DESC, domain, policy_type
LIMIT $limit
"""

SNDS = """
SELECT ip, begin_at, end_at, rcpt, data, recipients, result, complaint_low, complaint_high, trap_hits, comments
FROM snds
WHERE end_at >= $since
ORDER BY begin_at DESC, ip
LIMIT $limit
"""

_FIGURES = """
SELECT domain, account, day, metric, value, text
FROM {table}
WHERE day >= CAST($since AS DATE) AND ($domain = '' OR domain = lower($domain)) AND {{scope}}
ORDER BY day DESC, domain, metric
LIMIT $limit
"""
POSTMASTER, YAHOO = (_FIGURES.format(table=table) for table in ("postmaster", "yahoo"))

# What was not attributed is here too; nobody but the installation's own people can tell whose it is.
FEEDBACK = """
SELECT loop, type, sum(incidents) AS complaints, max(taken_at) AS last_at
FROM feedback
WHERE taken_at >= $since
GROUP BY loop, type
UNION ALL
SELECT 'list-unsubscribe', method, count(*), max(logged_at)
FROM unsubscribe
WHERE logged_at >= $since
GROUP BY method
ORDER BY complaints DESC, loop, type
"""

# A daily feed is stale from 36 hours on: STALE_AFTER in reports/feeds.py.
FEEDS = """
SELECT kind,
       source,
       first_at,
       fresh_at,
       data_at,
       kind <> 'arf' AND fresh_at < $now - INTERVAL 36 HOUR AS is_stale
FROM feed
ORDER BY kind, source
"""

FEED_FILES = """
SELECT kind, name, author, taken_at, size_bytes, reports, fresh, reason
FROM feed_file
WHERE taken_at >= $since
ORDER BY taken_at DESC
LIMIT $limit
"""
