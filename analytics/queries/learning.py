"""The questions about the spam model: its trainings and their rulings, what people said of mail, how scores move."""

MODEL_RUNS = """
SELECT logged_at, model, active, learnt, judged, passes, why, slices
FROM model_run
WHERE logged_at >= $since
ORDER BY logged_at DESC
LIMIT $limit
"""

# What is known of messages (schema/0009_label.sql), beside what the model had said of each; the latest words first.
LABELLED = """
SELECT *
FROM (
    SELECT l.message_id,
           l.label,
           l.weight,
           l.origin,
           l.said_at,
           coalesce(m.account, r.account, '') AS account,
           coalesce(m.reseller, r.reseller, '') AS reseller,
           coalesce(m.sender, r.sender, '') AS sender,
           coalesce(m.subject, r.subject) AS subject,
           coalesce(m.score, r.score) AS score,
           coalesce(m.model, r.model) AS model,
           coalesce(m.action, r.action) AS action,
           coalesce(m.reasons, r.reasons) AS reasons
    FROM label_known l
    LEFT JOIN message m ON m.message_id = l.message_id
    LEFT JOIN rejection r ON r.message_id = l.message_id
    WHERE l.said_at >= $since
)
WHERE {scope}
ORDER BY said_at DESC, message_id
LIMIT $limit
"""

# `bin` n holds scores from n/10 to (n+1)/10.
SCORE_DAYS = """
SELECT date_trunc('day', scored_at) AS day_at, least(CAST(floor(score * 10) AS BIGINT), 9) AS bin, count(*) AS messages
FROM (
    SELECT received_at AS scored_at, score
    FROM message
    WHERE received_at >= $since AND score IS NOT NULL AND {scope}
    UNION ALL
    SELECT logged_at, score
    FROM rejection
    WHERE logged_at >= $since AND score IS NOT NULL AND {scope}
)
GROUP BY ALL
ORDER BY day_at, bin
"""
