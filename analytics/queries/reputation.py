"""The questions about reputation; see named.py, which names them."""

REPUTATION = """
SELECT computed_at, score, low, high, band, n, points AS points_json
FROM reputation
WHERE entity_kind = $entity_kind AND entity = $entity AND computed_at >= $since AND {scope}
ORDER BY computed_at
"""

REPUTATIONS = """
SELECT entity_kind, entity, account, score, low, high, band, n, computed_at, points AS points_json
FROM reputation_now
WHERE ($entity_kind = '' OR entity_kind = $entity_kind)
  AND ($entity = '' OR entity = $entity)
  AND ($band = '' OR band = $band)
  AND contains(lower(entity), lower($search))
  AND {scope}
ORDER BY band = 'unknown', score, n DESC, entity_kind, entity
LIMIT $limit
"""

# A waterfall: each signal takes the score from score_before to score_after, and share of the whole loss is its.
REPUTATION_SIGNALS = """
WITH found AS (
    SELECT entity_kind, entity, account, score,
           unnest(from_json(signals, '[{"signal":"VARCHAR","points":"DOUBLE","bad":"DOUBLE","seen":"DOUBLE",
               "rate":"DOUBLE","low":"DOUBLE","high":"DOUBLE","half_life_seconds":"BIGINT"}]')) AS s
    FROM reputation_now
    WHERE entity = $entity AND ($entity_kind = '' OR entity_kind = $entity_kind) AND {scope}
)
SELECT entity_kind, account, s.signal AS signal, s.points AS points,
       coalesce(s.points / nullif(sum(s.points) OVER part, 0), 0) AS share,
       100 * exp(-(sum(s.points) OVER (part ORDER BY s.points DESC, s.signal ROWS UNBOUNDED PRECEDING) - s.points))
           AS score_before,
       100 * exp(-sum(s.points) OVER (part ORDER BY s.points DESC, s.signal ROWS UNBOUNDED PRECEDING)) AS score_after,
       s.bad AS bad, s.seen AS seen, s.rate AS rate, s.low AS low, s.high AS high,
       s.half_life_seconds AS half_life_seconds
FROM found
WINDOW part AS (PARTITION BY entity_kind, account)
ORDER BY entity_kind, account, points DESC, signal
"""

REPUTATION_HEAT = """
SELECT split_part(entity, '|', 1) AS address, split_part(entity, '|', 2) AS destination, score, low, high, band, n,
       points AS points_json
FROM reputation_now
WHERE entity_kind = 'ip_provider' AND {scope}
ORDER BY address, n DESC, destination
LIMIT $limit
"""
