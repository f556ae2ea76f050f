-- Reports that came back to a return path of a relay, as they came; what they say is read from `file`. key: (node, boot,
-- seq). withheld says why the original envelope sender was not told; forward_id is the message that tells him.
CREATE TABLE inbound (
    logged_at TIMESTAMPTZ NOT NULL,
    node VARCHAR NOT NULL,
    boot VARCHAR NOT NULL,
    seq BIGINT NOT NULL,
    message_id VARCHAR NOT NULL,
    account VARCHAR NOT NULL,
    reseller VARCHAR NOT NULL,
    sender VARCHAR NOT NULL,
    recipient_id BIGINT NOT NULL,
    recipient VARCHAR NOT NULL,
    report_type VARCHAR NOT NULL,
    mail_from VARCHAR,
    client_ip VARCHAR,
    helo VARCHAR,
    tls VARCHAR,
    size_bytes BIGINT,
    file VARCHAR,
    forward_id VARCHAR,
    withheld VARCHAR
);
