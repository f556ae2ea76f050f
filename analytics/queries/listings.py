"""The questions about addresses that were listed or blocked, and who caused it; see named.py, which names them."""

LISTINGS = """
SELECT address, zone, status, answer, checked_at, entity_kind, confirmed, since_at, codes
FROM listing
WHERE ($entity_kind = '' AND entity_kind <> 'domain') OR entity_kind = $entity_kind
QUALIFY row_number() OVER (PARTITION BY address, zone, entity_kind ORDER BY checked_at DESC) = 1
ORDER BY confirmed DESC, entity_kind, address, zone
LIMIT $limit
"""

# An event is one cause, and the senders compete to be it: each is a source of such events whose rate grows with its
# suspect mail, "somebody else" one of constant rate, and of competing Poisson processes each has caused the event with
# the probability rate / sum of rates. The rates, in units of one certain spam mail:
#   score^4 of each mail    0.9 is 0.66, 0.5 is 0.06, 0.1 nothing: the small scores of much honest mail must not add up
#   3 a complaint           beyond the 0.05 % that a good sender has
#   0.5 a hard bounce of a recipient its account had never written to (what traps look like), beyond 2 %
#   0.02 a recipient its account had never written to, beyond 20 %
#   2 for somebody else     a neighbour in the network, the address's last owner, a mistake of the list
# The last row, without a sender, is what is left of 1: somebody else, and whoever is not shown.
CULPRITS = """
WITH moment AS (
    SELECT coalesce(
               TRY_CAST(nullif($moment, '') AS TIMESTAMPTZ),
               (SELECT arg_max(since_at, checked_at) FROM listing WHERE address = $address AND confirmed),
               (
                   SELECT max(logged_at)
                   FROM deferral
                   WHERE source = $address AND category = 'ReputationBlock' AND logged_at >= $now - INTERVAL 7 DAY
               ),
               $now
           ) AS until_at
),
sent AS (
    SELECT r.message_id, r.account, r.reseller, r.sender, r.recipient, r.is_hard, r.received_at
    FROM recipient r, moment
    WHERE r.source = $address
      AND r.finished_at > until_at - INTERVAL 1 DAY
      AND r.finished_at <= until_at
      AND ($destination = '' OR r.destination = $destination)
),
-- joined with what was sent, which is little: NOT IN of all pairs ever took longer than a question may
met AS (
    SELECT DISTINCT s.account, s.recipient
    FROM (SELECT DISTINCT account, recipient FROM sent) s
    JOIN recipient r ON r.account = s.account AND r.recipient = s.recipient
    WHERE r.finished_at <= (SELECT until_at FROM moment) - INTERVAL 1 DAY
),
strangers AS (
    SELECT message_id, recipient
    FROM sent
    ANTI JOIN met USING (account, recipient)
    WHERE recipient IS NOT NULL
),
scores AS (
    SELECT message_id, score
    FROM message
    WHERE received_at >= (SELECT min(received_at) FROM sent) - INTERVAL 1 SECOND
      AND received_at <= (SELECT max(received_at) FROM sent) + INTERVAL 1 SECOND
),
complained AS (
    SELECT sender, count(*) AS complaints
    FROM complaint
    WHERE message_id IN (SELECT message_id FROM sent)
      AND coalesce(feedback_type, 'abuse') IN ('abuse', 'fraud', 'virus')
    GROUP BY sender
),
counted AS (
    SELECT s.account, s.reseller, s.sender,
           count(*) AS mails,
           coalesce(sum(pow(c.score, 4)), 0) AS spam,
           count(t.recipient) AS strangers,
           count(t.recipient) FILTER (s.is_hard) AS traps
    FROM sent s
    LEFT JOIN strangers t ON t.message_id = s.message_id AND t.recipient = s.recipient
    LEFT JOIN scores c ON c.message_id = s.message_id
    GROUP BY s.account, s.reseller, s.sender
),
rated AS (
    SELECT k.*,
           coalesce(o.complaints, 0) AS complaints,
           k.spam
           + 3 * greatest(0, coalesce(o.complaints, 0) - 0.0005 * k.mails)
           + 0.5 * greatest(0, k.traps - 0.02 * k.mails)
           + 0.02 * greatest(0, k.strangers - 0.2 * k.mails) AS rate
    FROM counted k
    LEFT JOIN complained o USING (sender)
),
shown AS (
    SELECT *
    FROM (SELECT *, rate / (sum(rate) OVER () + 2) AS probability FROM rated)
    WHERE rate > 0 AND {scope}
    ORDER BY probability DESC, sender
    LIMIT $limit
)
SELECT sender, account, probability, mails, spam, complaints, traps, strangers, until_at
FROM shown, moment
UNION ALL
SELECT '' AS sender, '' AS account, 1 - coalesce((SELECT sum(probability) FROM shown), 0) AS probability,
       (SELECT count(*) FROM sent WHERE {scope}) - coalesce((SELECT sum(mails) FROM shown), 0) AS mails,
       NULL, NULL, NULL, NULL, until_at
FROM moment
ORDER BY sender = '', probability DESC, sender
"""

# When an address was named: on a list, or in a destination's reply. `blames` is what that reply names (Google's 4.7.28
# has variants): then whose link, signature or network it is counts for more than the address.
IP_EVENTS = """
WITH replies AS (
    SELECT source AS address, destination, logged_at AS heard_at, concat_ws(' ', code, enhanced, text) AS text
    FROM deferral
    WHERE category = 'ReputationBlock' AND logged_at >= $since AND source <> ''
    UNION ALL
    SELECT source, destination, finished_at, concat_ws(' ', code, enhanced, text)
    FROM recipient
    WHERE category = 'ReputationBlock' AND finished_at >= $since AND source <> ''
),
named AS (
    SELECT *,
           CASE WHEN regexp_matches(text, '\\b(urls?|links?|surbl|uribl|dbl)\\b', 'i') THEN 'link'
                WHEN regexp_matches(text, '\\bDKIM\\b', 'i') THEN 'dkim domain'
                WHEN regexp_matches(text, '\\bSPF\\b', 'i') THEN 'spf domain'
                WHEN regexp_matches(text, '\\b(netblock|network|subnet)\\b', 'i') THEN 'network'
                ELSE 'address' END AS blames
    FROM replies
)
SELECT 'reply' AS kind, address, destination AS place, blames, min(heard_at) AS first_at, max(heard_at) AS last_at,
       count(*) AS times, arg_max(text, heard_at) AS text
FROM named
GROUP BY address, destination, blames
UNION ALL
SELECT 'listing', address, zone, 'address', since_at, max(checked_at), count(*),
       arg_max(array_to_string(codes, ' '), checked_at)
FROM listing
WHERE confirmed AND entity_kind = 'ip' AND checked_at >= $since
GROUP BY address, zone, since_at
ORDER BY last_at DESC, address, place
LIMIT $limit
"""
