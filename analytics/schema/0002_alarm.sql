-- What an operator should look at, raised by a relay. key: (node, boot, seq). condition is e.g. no_sender_id.
CREATE TABLE alarm (
    logged_at TIMESTAMPTZ NOT NULL,
    node VARCHAR NOT NULL,
    boot VARCHAR NOT NULL,
    seq BIGINT NOT NULL,
    condition VARCHAR NOT NULL,
    account VARCHAR NOT NULL,
    reseller VARCHAR NOT NULL,
    text VARCHAR,
    evidence JSON
);
