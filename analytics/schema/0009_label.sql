-- What people say messages are; key: (node, boot, seq). label is spam, ham or unsure (takes an earlier one back).
CREATE TABLE label (
    logged_at TIMESTAMPTZ NOT NULL,
    node VARCHAR NOT NULL,
    boot VARCHAR NOT NULL,
    seq BIGINT NOT NULL,
    message_id VARCHAR NOT NULL,
    account VARCHAR NOT NULL,
    reseller VARCHAR NOT NULL,
    sender VARCHAR NOT NULL,
    label VARCHAR NOT NULL,
    origin VARCHAR NOT NULL,
    weight DOUBLE NOT NULL,
    author VARCHAR NOT NULL,
    why VARCHAR
);
-- One row a message: what it is by the weightiest word of all that is known, of equal ones the latest. A person's word
-- (1, or 0.7 by release and confirmation) stands above a recipient's complaint (0.6), that above a next hop that refused
-- the content (0.3). message_id is unique; instants are those of the word.
CREATE VIEW label_known AS
SELECT message_id,
       arg_max(label, (weight, at_unix)) AS label,
       max(weight) AS weight,
       arg_max(origin, (weight, at_unix)) AS origin,
       max(said_at) AS said_at
FROM (
    SELECT message_id, label, weight, origin, logged_at AS said_at, epoch(logged_at) AS at_unix
    FROM label
    UNION ALL
    SELECT message_id, 'spam', 0.6, 'complaint', reported_at, epoch(reported_at)
    FROM complaint
    WHERE message_id <> '' AND coalesce(feedback_type, 'abuse') IN ('abuse', 'fraud', 'virus')
    UNION ALL
    SELECT message_id, 'spam', 0.3, 'bounce', finished_at, epoch(finished_at)
    FROM recipient
    WHERE outcome = 'bounced' AND category = 'ContentBlock'
)
GROUP BY message_id
HAVING arg_max(label, (weight, at_unix)) <> 'unsure';
