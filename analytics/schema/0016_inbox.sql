-- By what else than SMTP a mail of an inbox came: a mailbox that was imported, or fetched by IMAP.
ALTER TABLE inbound ADD COLUMN origin VARCHAR;
-- What proved whose message a complaint is about, and a name for it that is the same when it is told twice; '' where a
-- person entered it.
ALTER TABLE complaint ADD COLUMN recipient_id BIGINT DEFAULT 0;
ALTER TABLE complaint ADD COLUMN proof VARCHAR DEFAULT '';
ALTER TABLE complaint ADD COLUMN report_key VARCHAR DEFAULT '';
ALTER TABLE complaint ADD COLUMN file VARCHAR DEFAULT '';

-- key: report_key. Recipients that failed after their server had taken the mail. proof '': nothing traces the report to
-- mail of ours; it is backscatter and counts against nobody.
CREATE TABLE out_of_band (
    logged_at TIMESTAMPTZ NOT NULL,
    reported_at TIMESTAMPTZ NOT NULL,
    node VARCHAR NOT NULL,
    boot VARCHAR NOT NULL,
    seq BIGINT NOT NULL,
    message_id VARCHAR NOT NULL,
    account VARCHAR NOT NULL,
    reseller VARCHAR NOT NULL,
    sender VARCHAR NOT NULL,
    recipient_id BIGINT NOT NULL,
    recipient VARCHAR NOT NULL,
    proof VARCHAR NOT NULL,
    category VARCHAR NOT NULL,
    enhanced VARCHAR NOT NULL,
    text VARCHAR NOT NULL,
    is_hard BOOLEAN NOT NULL,
    confidence DOUBLE NOT NULL,
    rule VARCHAR NOT NULL,
    report_key VARCHAR NOT NULL,
    file VARCHAR NOT NULL
);

-- key: file. What every mail of an inbox turned out to be; case_id names the case where a person wrote about abuse.
CREATE TABLE report_read (
    logged_at TIMESTAMPTZ NOT NULL,
    node VARCHAR NOT NULL,
    boot VARCHAR NOT NULL,
    seq BIGINT NOT NULL,
    file VARCHAR NOT NULL,
    digest VARCHAR NOT NULL,
    report_type VARCHAR NOT NULL,
    found VARCHAR NOT NULL,
    bounces BIGINT NOT NULL,
    complaints BIGINT NOT NULL,
    proof VARCHAR NOT NULL,
    why VARCHAR NOT NULL,
    case_id VARCHAR NOT NULL,
    recipient VARCHAR NOT NULL,
    mail_from VARCHAR NOT NULL,
    subject VARCHAR NOT NULL,
    origin VARCHAR NOT NULL
);

-- key: (node, boot, seq). status is open or closed; of a case the last row holds.
CREATE TABLE case_event (
    logged_at TIMESTAMPTZ NOT NULL,
    node VARCHAR NOT NULL,
    boot VARCHAR NOT NULL,
    seq BIGINT NOT NULL,
    case_id VARCHAR NOT NULL,
    status VARCHAR NOT NULL,
    author VARCHAR NOT NULL,
    why VARCHAR NOT NULL
);

-- People's mail about abuse. The same mail to two of our addresses is one case.
CREATE VIEW abuse_case AS
SELECT r.case_id,
       r.opened_at,
       r.recipient,
       r.mail_from,
       r.subject,
       r.file,
       r.origin,
       coalesce(e.status, 'open') AS status,
       e.changed_at,
       coalesce(e.author, '') AS author,
       coalesce(e.why, '') AS why
FROM (
    SELECT case_id,
           min(logged_at) AS opened_at,
           arg_min(recipient, logged_at) AS recipient,
           arg_min(mail_from, logged_at) AS mail_from,
           arg_min(subject, logged_at) AS subject,
           arg_min(file, logged_at) AS file,
           arg_min(origin, logged_at) AS origin
    FROM report_read
    WHERE case_id <> ''
    GROUP BY case_id
) r
LEFT JOIN (
    SELECT case_id,
           arg_max(status, (logged_at, boot, seq)) AS status,
           max(logged_at) AS changed_at,
           arg_max(author, (logged_at, boot, seq)) AS author,
           arg_max(why, (logged_at, boot, seq)) AS why
    FROM case_event
    GROUP BY case_id
) e USING (case_id);

-- key: (node, boot, seq). Addresses that an account, or none ('': all), may not write to any more for what came back;
-- the list itself is the relay's.
CREATE TABLE suppressed (
    logged_at TIMESTAMPTZ NOT NULL,
    node VARCHAR NOT NULL,
    boot VARCHAR NOT NULL,
    seq BIGINT NOT NULL,
    message_id VARCHAR NOT NULL,
    account VARCHAR NOT NULL,
    reseller VARCHAR NOT NULL,
    recipient VARCHAR NOT NULL,
    reason VARCHAR NOT NULL,
    why VARCHAR NOT NULL,
    ends_at TIMESTAMPTZ
);
