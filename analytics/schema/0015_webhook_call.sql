-- Calls of webhooks' endpoints. key: (node, boot, seq). event_id is a decision's id, or node:boot:seq of an alarm; code is
-- the HTTP status, 0 without one; after a call with is_final none follows for that endpoint and event.
CREATE TABLE webhook_call (
    logged_at TIMESTAMPTZ NOT NULL,
    node VARCHAR NOT NULL,
    boot VARCHAR NOT NULL,
    seq BIGINT NOT NULL,
    webhook VARCHAR NOT NULL,
    url VARCHAR NOT NULL,
    account VARCHAR NOT NULL,
    reseller VARCHAR NOT NULL,
    sender VARCHAR NOT NULL,
    event_id VARCHAR NOT NULL,
    condition VARCHAR NOT NULL,
    attempt BIGINT NOT NULL,
    code BIGINT NOT NULL,
    error VARCHAR NOT NULL,
    seconds DOUBLE NOT NULL,
    is_delivered BOOLEAN NOT NULL,
    is_final BOOLEAN NOT NULL
);
