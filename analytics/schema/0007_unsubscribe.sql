-- Recipients who unsubscribed by a link of ours. key: (node, boot, seq). method is one-click or page.
CREATE TABLE unsubscribe (
    logged_at TIMESTAMPTZ NOT NULL,
    node VARCHAR NOT NULL,
    boot VARCHAR NOT NULL,
    seq BIGINT NOT NULL,
    message_id VARCHAR NOT NULL,
    account VARCHAR NOT NULL,
    reseller VARCHAR NOT NULL,
    recipient VARCHAR NOT NULL,
    method VARCHAR NOT NULL,
    client_ip VARCHAR
);
