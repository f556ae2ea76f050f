"""The question behind the tiles: what passed in a window and in the one before, and how long delivery took."""

from analytics.ingesting.counting import MESSAGES, counts


def _quantile(share: float, which: str) -> str:
    """Between the two ranks that the quantile lies between, as quantile_cont does."""
    place = f"({share} * (total - 1))"
    low, high = (
        f"arg_min(mean_seconds, bin) FILTER ({which} AND upto > {edge}({place}))" for edge in ("floor", "ceil")
    )
    return f"{low} + ({high} - {low}) * any_value({place} - floor({place})) FILTER ({which})"


_COUNTED = f"{counts(MESSAGES, '$before', '$since')}\nUNION ALL\n{counts(MESSAGES, '$since')}"

# Seconds are counted in bins 2 % wide and a bin stands for its mean, so the quantiles are right to one in a hundred,
# and exactly for a bin of one. With exact ones the question took 7 s over two weeks of five million messages, so 1.5 s.
TILES = f"""
WITH counted AS ({_COUNTED}),
flow AS (
    SELECT sum(accepted) FILTER (minute >= $since) AS accepted,
           sum(held + parked) FILTER (minute >= $since) AS held,
           sum(rejected + throttled) FILTER (minute >= $since) AS refused,
           sum(delivered) FILTER (minute >= $since) AS delivered,
           sum(bounced) FILTER (minute >= $since) AS bounced,
           sum(complaints) FILTER (minute >= $since) AS complaints,
           sum(accepted) FILTER (minute < $since) AS prev_accepted,
           sum(held + parked) FILTER (minute < $since) AS prev_held,
           sum(rejected + throttled) FILTER (minute < $since) AS prev_refused,
           sum(delivered) FILTER (minute < $since) AS prev_delivered,
           sum(bounced) FILTER (minute < $since) AS prev_bounced,
           sum(complaints) FILTER (minute < $since) AS prev_complaints
    FROM counted
),
binned AS (
    SELECT finished_at >= $since AS is_now,
           floor(50 * ln(greatest(queued_seconds, 0.001)))::INTEGER AS bin,
           count(*) AS n,
           avg(queued_seconds) AS mean_seconds
    FROM recipient
    WHERE outcome = 'delivered' AND queued_seconds IS NOT NULL AND finished_at >= $before AND sandbox IS NOT TRUE
      AND {{scope}}
    GROUP BY ALL
),
ranked AS (
    SELECT *,
           sum(n) OVER (PARTITION BY is_now ORDER BY bin) AS upto,
           sum(n) OVER (PARTITION BY is_now) AS total
    FROM binned
),
delay AS (
    SELECT {_quantile(0.5, "is_now")} AS p50_delay_seconds,
           {_quantile(0.95, "is_now")} AS p95_delay_seconds,
           {_quantile(0.5, "NOT is_now")} AS prev_p50_delay_seconds,
           {_quantile(0.95, "NOT is_now")} AS prev_p95_delay_seconds
    FROM ranked
)
SELECT coalesce(accepted, 0) AS accepted,
       coalesce(held, 0) AS held,
       coalesce(refused, 0) AS refused,
       coalesce(delivered, 0) AS delivered,
       coalesce(bounced, 0) AS bounced,
       coalesce(complaints, 0) AS complaints,
       p50_delay_seconds,
       p95_delay_seconds,
       coalesce(prev_accepted, 0) AS prev_accepted,
       coalesce(prev_held, 0) AS prev_held,
       coalesce(prev_refused, 0) AS prev_refused,
       coalesce(prev_delivered, 0) AS prev_delivered,
       coalesce(prev_bounced, 0) AS prev_bounced,
       coalesce(prev_complaints, 0) AS prev_complaints,
       prev_p50_delay_seconds,
       prev_p95_delay_seconds
FROM flow, delay
"""  # noqa: S608 - our own text
