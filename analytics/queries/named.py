"""The named questions of the dashboard, the CLI and the notebooks: their SQL, parameters and columns.

Trends read rollup_minute; questions about one sender or message, and about delays, read the rows. `{scope}` stands for
the part of the tree the asker may see and the account that was chosen. Messages are counted as accepted, held and
refused, recipients as delivered and bounced.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from analytics.ingesting.counting import MESSAGES, counts
from analytics.queries import cases, complaints, delivery, feeds, inbox, learning
from analytics.queries.listings import CULPRITS, IP_EVENTS, LISTINGS
from analytics.queries.one import MESSAGE, SENDER_MESSAGES, SENDER_SUMMARY
from analytics.queries.reputation import REPUTATION, REPUTATION_HEAT, REPUTATION_SIGNALS, REPUTATIONS
from analytics.queries.tiles import TILES
from analytics.usage.query import USAGE, USAGE_PARAMS


class Required:
    """The default of a parameter that must be given."""


REQUIRED = Required()


@dataclass(frozen=True, slots=True)
class Query:
    """A named question. `params`: name -> default (text when required); all know `since` and `account` besides.

    `fine`: the SQL for buckets shorter than the rollup's minute, `coarse` for those of whole hours. `days`: the window
    when no `since` is given. One with the parameter `month` (2026-11; "": the current one) is about that month (UTC):
    $month_begin, $month_end.
    """

    sql: str
    params: Mapping[str, str | int | Required] = field(default_factory=lambda: MappingProxyType({}))
    fine: str = ""
    coarse: str = ""
    days: int = 1


# The window's buckets, so that a quiet minute is a zero in a chart and not a gap.
_BUCKETS = """
    SELECT to_timestamp(slot * $bucket_seconds) AS bucket_at
    FROM range(
        CAST(floor(epoch($since) / $bucket_seconds) AS BIGINT),
        CAST(floor(epoch($now) / $bucket_seconds) AS BIGINT) + 1
    ) AS t(slot)
"""


def _bucket(instant: str) -> str:
    return f"to_timestamp(floor(epoch({instant}) / $bucket_seconds) * $bucket_seconds)"


def _flow(which: str, extra: str = "", source: str = "rollup_minute", instant: str = "minute") -> str:
    return f"""
WITH flow AS (
    SELECT {_bucket(instant)} AS bucket_at,
           sum(accepted) AS accepted,
           sum(held + parked) AS held,
           sum(rejected + throttled) AS refused,
           sum(delivered) AS delivered,
           sum(score_sum) / nullif(sum(scored), 0) AS mean_score
    FROM {source}
    WHERE {instant} >= $since AND {which}
    GROUP BY ALL
)
SELECT bucket_at,
       coalesce(accepted, 0) AS accepted,
       coalesce(held, 0) AS held,
       coalesce(refused, 0) AS refused,
       coalesce(delivered, 0) AS delivered{extra}
FROM ({_BUCKETS})
LEFT JOIN flow USING (bucket_at)
ORDER BY bucket_at
"""  # noqa: S608 - our own text


_OF_SENDER = "sender = $sender AND {scope}"
_MEAN_SCORE = ",\n       mean_score"

_DELAY = f"""
WITH delay AS (
    SELECT {_bucket("finished_at")} AS bucket_at,
           quantile_cont(queued_seconds, 0.5) AS p50_seconds,
           quantile_cont(queued_seconds, 0.95) AS p95_seconds,
           count(*) AS delivered
    FROM recipient
    WHERE outcome = 'delivered' AND finished_at >= $since AND sandbox IS NOT TRUE
      AND sender IS DISTINCT FROM $exclude_sender AND {{scope}}
    GROUP BY ALL
)
SELECT bucket_at, p50_seconds, p95_seconds, coalesce(delivered, 0) AS delivered
FROM ({_BUCKETS})
LEFT JOIN delay USING (bucket_at)
ORDER BY bucket_at
"""  # noqa: S608

# A sender is of one account: grouping by both, and searching before grouping, took twice as long.
_SENDERS = """
WITH flow AS (
    SELECT sender,
           any_value(account) AS account,
           sum(accepted + held + rejected + throttled) AS messages,
           sum(held + parked) AS held,
           sum(rejected + throttled) AS refused,
           sum(delivered) AS delivered,
           sum(bounced) AS bounced,
           sum(complaints) AS complaints,
           sum(score_sum) / nullif(sum(scored), 0) AS mean_score,
           max(last_at) AS last_at
    FROM (__COUNTS__)
    GROUP BY sender
    HAVING contains(lower(sender), lower(coalesce($search, '')))
)
SELECT flow.*, r.score, coalesce(r.band, 'unknown') AS band
FROM flow
LEFT JOIN (SELECT entity, score, band FROM reputation_now WHERE entity_kind = 'sender') r ON r.entity = flow.sender
ORDER BY messages DESC, sender
LIMIT $limit
""".replace("__COUNTS__", counts(MESSAGES, "$since"))

_DECISIONS = """
SELECT d.*, s.decision_id AS superseded_by
FROM (SELECT * FROM decision WHERE {scope}) d
LEFT JOIN (
    SELECT supersedes, min(decision_id) AS decision_id
    FROM decision
    WHERE supersedes <> ''
    GROUP BY supersedes
) s ON s.supersedes = d.decision_id
WHERE d.starts_at >= $since
  AND NOT (d.effect = 'multiply' AND d.value = 1 AND json_extract_string(d.evidence, '$.band') = 'good')
ORDER BY d.starts_at DESC, d.decision_id DESC
LIMIT $limit
"""

_DESTINATIONS = """
WITH tried AS (
    SELECT destination, outcome, queued_seconds, text, finished_at AS tried_at
    FROM recipient
    WHERE finished_at >= $since AND outcome <> 'dropped' AND {scope}
    UNION ALL
    SELECT destination, 'deferred', NULL, text, logged_at
    FROM deferral
    WHERE logged_at >= $since AND {scope}
)
SELECT destination,
       count(*) FILTER (outcome = 'delivered') AS delivered,
       count(*) FILTER (outcome = 'deferred') AS deferred,
       count(*) FILTER (outcome IN ('bounced', 'expired')) AS bounced,
       quantile_cont(queued_seconds, 0.95) FILTER (outcome = 'delivered') AS p95_seconds,
       coalesce(arg_max(text, tried_at) FILTER (outcome <> 'delivered'), arg_max(text, tried_at)) AS last_text
FROM tried
GROUP BY destination
ORDER BY count(*) DESC, destination
"""

_JOBS = """
SELECT job, last_started_at, last_seconds, last_status, last_error, next_run_at, last_success_at, failures,
       every_seconds
FROM job
ORDER BY job
"""

_INGEST = """
SELECT (SELECT count(*) FROM ingested_file) AS files,
       (SELECT coalesce(sum(rows), 0) FROM ingested_file) AS rows,
       (SELECT count(DISTINCT name) FROM corrupt_file) AS corrupt_files,
       (SELECT max(ingested_at) FROM ingested_file) AS last_at,
       $behind_files::BIGINT AS behind_files
"""

_CORRUPT = """
SELECT name AS file,
       string_agg(if(line = 0, reason, 'line ' || line || ': ' || reason), '; ' ORDER BY line) AS reason,
       max(set_aside_at) AS set_aside_at
FROM corrupt_file
GROUP BY name
ORDER BY set_aside_at DESC
"""

_HOURS = """
SELECT isodow(to_timestamp(3600 * slot)) AS dow, hour(to_timestamp(3600 * slot)) AS hour, sum(messages) AS messages
FROM (
    SELECT epoch_us(hour) // 3600000000 AS slot, sum(accepted + held + rejected + throttled) AS messages
    FROM rollup_hour
    WHERE hour >= date_trunc('hour', $since) AND {scope}
    GROUP BY slot
)
GROUP BY ALL
ORDER BY ALL
"""

# Of each condition, account and subject (the job, address, feed or destination it names) the last one.
_ALARMS = """
WITH raised AS (
    SELECT logged_at, condition, account, text,
           coalesce(
               evidence ->> '$.job',
               evidence ->> '$.address',
               (evidence ->> '$.kind') || '/' || (evidence ->> '$.source'),
               evidence ->> '$.destination',
               ''
           ) AS subject
    FROM alarm
    WHERE logged_at >= $since AND {scope}
)
SELECT logged_at, condition, account, text, subject,
       min(logged_at) OVER same AS first_at,
       count(*) OVER same AS times
FROM raised
WINDOW same AS (PARTITION BY condition, account, subject)
QUALIFY row_number() OVER (PARTITION BY condition, account, subject ORDER BY logged_at DESC) = 1
ORDER BY logged_at DESC
LIMIT 100
"""

_WEBHOOK_CALLS = """
SELECT logged_at, webhook, url, account, sender, event_id, condition, attempt, code, error, seconds, is_delivered,
       is_final
FROM webhook_call
WHERE logged_at >= $since AND {scope} AND ($webhook = '' OR webhook = $webhook)
ORDER BY logged_at DESC, seq DESC
LIMIT 500
"""

QUERIES: Mapping[str, Query] = {
    "tiles": Query(TILES),
    "flow": Query(
        _flow("{scope}"),
        {"bucket_seconds": 300},
        _flow("{scope}", "", "flow_event", "happened_at"),
        _flow("{scope}", "", "rollup_hour", "hour"),
    ),
    "delay": Query(_DELAY, {"bucket_seconds": 300, "exclude_sender": ""}),
    "senders": Query(_SENDERS, {"limit": 100, "search": ""}),
    "sender_summary": Query(SENDER_SUMMARY, {"sender": REQUIRED}),
    "sender_flow": Query(
        _flow(_OF_SENDER, _MEAN_SCORE),
        {"sender": REQUIRED, "bucket_seconds": 300},
        _flow(_OF_SENDER, _MEAN_SCORE, "flow_event", "happened_at"),
        _flow(_OF_SENDER, _MEAN_SCORE, "rollup_hour", "hour"),
    ),
    "sender_messages": Query(SENDER_MESSAGES, {"sender": REQUIRED, "limit": 50}),
    "message": Query(MESSAGE, {"message_id": REQUIRED}),
    "decisions": Query(_DECISIONS, {"limit": 200}, days=30),
    "overturned": Query(cases.OVERTURNED, days=56),
    "same_text": Query(cases.SAME_TEXT, {"fingerprint": REQUIRED, "limit": 20}, days=7),
    "sender_hours": Query(cases.SENDER_HOURS, {"sender": REQUIRED}, days=7),
    "sender_unique": Query(cases.SENDER_UNIQUE, {"sender": REQUIRED}, days=7),
    "sender_scripts": Query(cases.SENDER_SCRIPTS, {"sender": REQUIRED, "limit": 20}, days=7),
    "sender_subjects": Query(cases.SENDER_SUBJECTS, {"sender": REQUIRED, "limit": 20}, days=7),
    "sender_domains": Query(cases.SENDER_DOMAINS, {"sender": REQUIRED, "limit": 20}, days=7),
    "sender_logins": Query(cases.SENDER_LOGINS, {"sender": REQUIRED, "limit": 20}, days=7),
    "reputation": Query(REPUTATION, {"entity_kind": "sender", "entity": REQUIRED}, days=7),
    "reputations": Query(REPUTATIONS, {"entity_kind": "", "entity": "", "band": "", "search": "", "limit": 100}),
    "reputation_signals": Query(REPUTATION_SIGNALS, {"entity_kind": "", "entity": REQUIRED}),
    "reputation_heat": Query(REPUTATION_HEAT, {"limit": 1000}),
    "destinations": Query(_DESTINATIONS),
    "destination_figures": Query(delivery.DESTINATION_FIGURES, {"limit": 200}),
    "destination_delays": Query(delivery.DESTINATION_DELAYS, {"destination": REQUIRED}),
    "destination_pace": Query(delivery.DESTINATION_PACE, {"destination": REQUIRED, "bucket_seconds": 300}),
    "destination_flow": Query(delivery.DESTINATION_FLOW, {"destination": "", "bucket_seconds": 300}),
    "replies": Query(delivery.REPLIES, {"destination": "", "category": "", "outcome": "", "limit": 50}),
    "tries": Query(delivery.TRIES, delivery.TRIES_PARAMS),
    "source_days": Query(delivery.SOURCE_DAYS, days=30),
    "bounce_totals": Query(delivery.BOUNCE_TOTALS, {"destination": ""}),
    "bounce_classes": Query(delivery.BOUNCE_CLASSES, {"destination": "", "bucket_seconds": 300}),
    "bounce_groups": Query(delivery.BOUNCE_GROUPS, {"by": "destination", "destination": "", "limit": 100}),
    "complaint_senders": Query(complaints.COMPLAINT_SENDERS, {"limit": 100}, days=7),
    "complaint_campaigns": Query(complaints.COMPLAINT_CAMPAIGNS, {"limit": 50}, days=7),
    "complaint_days": Query(complaints.COMPLAINT_DAYS, days=30),
    "complaints": Query(complaints.COMPLAINTS, {"sender": "", "limit": 100}, days=7),
    "feedback_rows": Query(complaints.FEEDBACK_ROWS, {"limit": 100}, days=30),
    "dmarc_reporters": Query(complaints.DMARC_REPORTERS, {"domain": "", "limit": 50}, days=30),
    "jobs": Query(_JOBS),
    "ingest": Query(_INGEST),
    "corrupt": Query(_CORRUPT),
    "listings": Query(LISTINGS, {"entity_kind": "", "limit": 1000}),
    "culprits": Query(CULPRITS, {"address": REQUIRED, "moment": "", "destination": "", "limit": 10}),
    "ip_events": Query(IP_EVENTS, {"limit": 100}, days=7),
    "alarms": Query(_ALARMS),
    "webhook_calls": Query(_WEBHOOK_CALLS, {"webhook": ""}),
    "model_runs": Query(learning.MODEL_RUNS, {"limit": 50}, days=90),
    "labelled": Query(learning.LABELLED, {"limit": 5000}, days=90),
    "score_days": Query(learning.SCORE_DAYS, days=14),
    "hours_of_week": Query(_HOURS, days=28),
    "dmarc_domains": Query(feeds.DMARC_DOMAINS, {"limit": 200}, days=30),
    "dmarc_days": Query(feeds.DMARC_DAYS, {"domain": ""}, days=30),
    "dmarc_sources": Query(feeds.DMARC_SOURCES, {"domain": REQUIRED, "limit": 200}, days=30),
    "tls_domains": Query(feeds.TLS_DOMAINS, {"limit": 200}, days=30),
    "snds": Query(feeds.SNDS, {"limit": 500}, days=30),
    "postmaster": Query(feeds.POSTMASTER, {"domain": "", "limit": 1000}, days=30),
    "yahoo": Query(feeds.YAHOO, {"domain": "", "limit": 1000}, days=30),
    "feedback": Query(feeds.FEEDBACK, days=30),
    "feeds": Query(feeds.FEEDS),
    "feed_files": Query(feeds.FEED_FILES, {"limit": 100}, days=30),
    "out_of_band": Query(inbox.OUT_OF_BAND, {"sender": "", "limit": 200}, days=30),
    "out_of_band_senders": Query(inbox.OUT_OF_BAND_SENDERS, {"limit": 100}, days=7),
    "backscatter": Query(inbox.BACKSCATTER, days=30),
    "complaints_by_sender": Query(inbox.COMPLAINTS_BY_SENDER, {"limit": 100}, days=30),
    "complaints_by_campaign": Query(inbox.COMPLAINTS_BY_CAMPAIGN, {"limit": 100}, days=30),
    "cases": Query(inbox.CASES, {"status": "", "limit": 200}, days=90),
    "suppressed": Query(inbox.SUPPRESSED, days=90),
    "inbox": Query(inbox.INBOX, days=30),
    "usage": Query(USAGE, USAGE_PARAMS, days=31),
}
