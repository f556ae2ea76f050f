-- The warehouse as it began. Instants are TIMESTAMPTZ named ..._at, probabilities lie in [0, 1].
--
-- No table has a PRIMARY KEY on what the journal brings: an ART index of ten million message ids costs memory and
-- makes each batch slower, while the ingest transaction drops repeats by the same natural keys, looked up only in the
-- row groups of the batch's time span (ingest.py). The keys are named in each table's comment.

-- key: message_id. `status` is kept by ingestion: accepted, deferred, held, released, delivered, partly delivered,
-- bounced, expired, dropped. f_... are events.Features, NULL when the message was not scored.
CREATE TABLE message (
    message_id VARCHAR NOT NULL,
    received_at TIMESTAMPTZ NOT NULL,
    status VARCHAR NOT NULL,
    recipients_count BIGINT NOT NULL,
    node VARCHAR NOT NULL,
    boot VARCHAR NOT NULL,
    seq BIGINT NOT NULL,
    logged_at TIMESTAMPTZ NOT NULL,
    account VARCHAR NOT NULL,
    reseller VARCHAR NOT NULL,
    sender VARCHAR NOT NULL,
    sender_kind VARCHAR,
    script VARCHAR,
    mail_from VARCHAR,
    recipients STRUCT(id BIGINT, address VARCHAR)[],
    client_ip VARCHAR,
    helo VARCHAR,
    tls VARCHAR,
    credential VARCHAR,
    door VARCHAR,
    size_bytes BIGINT,
    header_from VARCHAR,
    subject VARCHAR,
    header_message_id VARCHAR,
    action VARCHAR NOT NULL,
    rule VARCHAR,
    trace JSON,
    standing VARCHAR,
    score DOUBLE,
    model VARCHAR,
    reasons VARCHAR[],
    spam_count DOUBLE,
    spam_seen DOUBLE,
    spam_certainty DOUBLE,
    hour_used BIGINT,
    hour_limit BIGINT,
    multiplier DOUBLE,
    policy_version VARCHAR,
    decision_id VARCHAR,
    demo BOOLEAN,
    accept_seconds DOUBLE,
    f_subject_length BIGINT,
    f_subject_upper_share DOUBLE,
    f_subject_exclamations BIGINT,
    f_text_length BIGINT,
    f_text_words BIGINT,
    f_html_length BIGINT,
    f_upper_share DOUBLE,
    f_digit_share DOUBLE,
    f_non_ascii_share DOUBLE,
    f_exclamations BIGINT,
    f_currency_signs BIGINT,
    f_invisible_characters BIGINT,
    f_mixed_script_words BIGINT,
    f_hidden_html_share DOUBLE,
    f_parts BIGINT,
    f_attachments BIGINT,
    f_attachment_bytes BIGINT,
    f_attachment_types VARCHAR[],
    f_mime_shape VARCHAR,
    f_links BIGINT,
    f_link_domains VARCHAR[],
    f_ip_links BIGINT,
    f_shortener_links BIGINT,
    f_mismatched_links BIGINT,
    f_images BIGINT,
    f_forms BIGINT,
    f_received_headers BIGINT,
    f_headers BIGINT,
    f_from_domain VARCHAR,
    f_from_aligned BOOLEAN,
    f_reply_to_differs BOOLEAN,
    f_display_name_address BOOLEAN,
    f_has_message_id BOOLEAN,
    f_has_date BOOLEAN,
    f_mailer VARCHAR,
    f_body_digest VARCHAR
);

-- key: (node, boot, seq). What was not taken: action reject (5yz) or defer (4yz), logged_at is the instant of the
-- reply. message_id is '' before DATA. Columns as in message.
CREATE TABLE rejection AS FROM message LIMIT 0;
ALTER TABLE rejection DROP COLUMN received_at;
ALTER TABLE rejection DROP COLUMN status;
ALTER TABLE rejection DROP COLUMN accept_seconds;
ALTER TABLE rejection ADD COLUMN stage VARCHAR;
ALTER TABLE rejection ADD COLUMN code BIGINT;
ALTER TABLE rejection ADD COLUMN enhanced VARCHAR;
ALTER TABLE rejection ADD COLUMN text VARCHAR;

-- key: (message_id, recipient_id). The one final outcome of a recipient: delivered, bounced, expired or dropped.
CREATE TABLE recipient (
    message_id VARCHAR NOT NULL,
    recipient_id BIGINT NOT NULL,
    outcome VARCHAR NOT NULL,
    received_at TIMESTAMPTZ NOT NULL,
    finished_at TIMESTAMPTZ NOT NULL,
    queued_seconds DOUBLE,
    node VARCHAR NOT NULL,
    boot VARCHAR NOT NULL,
    seq BIGINT NOT NULL,
    account VARCHAR NOT NULL,
    reseller VARCHAR NOT NULL,
    sender VARCHAR NOT NULL,
    recipient VARCHAR,
    destination VARCHAR,
    attempt BIGINT,
    remote VARCHAR,
    source VARCHAR,
    tls VARCHAR,
    code BIGINT,
    enhanced VARCHAR,
    text VARCHAR,
    category VARCHAR,
    rule VARCHAR,
    is_hard BOOLEAN NOT NULL
);

-- key: (node, boot, seq). A try after which a retry was due.
CREATE TABLE deferral (
    message_id VARCHAR NOT NULL,
    recipient_id BIGINT NOT NULL,
    received_at TIMESTAMPTZ NOT NULL,
    logged_at TIMESTAMPTZ NOT NULL,
    due_at TIMESTAMPTZ,
    queued_seconds DOUBLE,
    node VARCHAR NOT NULL,
    boot VARCHAR NOT NULL,
    seq BIGINT NOT NULL,
    account VARCHAR NOT NULL,
    reseller VARCHAR NOT NULL,
    sender VARCHAR NOT NULL,
    recipient VARCHAR,
    destination VARCHAR,
    attempt BIGINT,
    remote VARCHAR,
    source VARCHAR,
    tls VARCHAR,
    code BIGINT,
    enhanced VARCHAR,
    text VARCHAR,
    category VARCHAR,
    rule VARCHAR
);

-- Every try, finished or not, for the timeline of a message.
CREATE VIEW attempt AS
SELECT message_id, recipient_id, received_at, logged_at AS tried_at, 'deferred' AS outcome, queued_seconds,
       account, reseller, sender, recipient, destination, attempt, remote, source, tls, code, enhanced, text,
       category, rule, due_at
FROM deferral
UNION ALL
SELECT message_id, recipient_id, received_at, finished_at, outcome, queued_seconds,
       account, reseller, sender, recipient, destination, attempt, remote, source, tls, code, enhanced, text,
       category, rule, NULL
FROM recipient
WHERE outcome <> 'dropped';

-- key: (node, boot, seq). What happened to a parked message: event is held, released or dropped.
CREATE TABLE held_event (
    message_id VARCHAR NOT NULL,
    event VARCHAR NOT NULL,
    logged_at TIMESTAMPTZ NOT NULL,
    node VARCHAR NOT NULL,
    boot VARCHAR NOT NULL,
    seq BIGINT NOT NULL,
    account VARCHAR NOT NULL,
    reseller VARCHAR NOT NULL,
    sender VARCHAR NOT NULL,
    decision_id VARCHAR,
    author VARCHAR,
    verdict VARCHAR,
    reason VARCHAR
);

-- key: (node, boot, seq), and decision_id.
CREATE TABLE decision (
    decision_id VARCHAR NOT NULL,
    logged_at TIMESTAMPTZ NOT NULL,
    node VARCHAR NOT NULL,
    boot VARCHAR NOT NULL,
    seq BIGINT NOT NULL,
    author VARCHAR NOT NULL,
    account VARCHAR NOT NULL,
    reseller VARCHAR NOT NULL,
    sender VARCHAR NOT NULL,
    effect VARCHAR NOT NULL,
    rule VARCHAR,
    reason VARCHAR,
    evidence JSON,
    certainty DOUBLE,
    value DOUBLE,
    starts_at TIMESTAMPTZ NOT NULL,
    ends_at TIMESTAMPTZ,
    supersedes VARCHAR,
    policy_version VARCHAR,
    model VARCHAR
);

-- key: (node, boot, seq). account and sender are filled in when the message is known.
CREATE TABLE complaint (
    message_id VARCHAR NOT NULL,
    logged_at TIMESTAMPTZ NOT NULL,
    reported_at TIMESTAMPTZ NOT NULL,
    node VARCHAR NOT NULL,
    boot VARCHAR NOT NULL,
    seq BIGINT NOT NULL,
    account VARCHAR NOT NULL,
    reseller VARCHAR NOT NULL,
    sender VARCHAR NOT NULL,
    recipient VARCHAR,
    provider VARCHAR,
    feedback_type VARCHAR
);

-- key: (node, boot, seq).
CREATE TABLE auth_failure (
    logged_at TIMESTAMPTZ NOT NULL,
    node VARCHAR NOT NULL,
    boot VARCHAR NOT NULL,
    seq BIGINT NOT NULL,
    client_ip VARCHAR,
    login_hash VARCHAR,
    mechanism VARCHAR
);

-- key: (node, boot, seq). status is listed, clean or unknown.
CREATE TABLE listing (
    address VARCHAR NOT NULL,
    zone VARCHAR NOT NULL,
    status VARCHAR NOT NULL,
    answer VARCHAR,
    checked_at TIMESTAMPTZ NOT NULL,
    logged_at TIMESTAMPTZ NOT NULL,
    node VARCHAR NOT NULL,
    boot VARCHAR NOT NULL,
    seq BIGINT NOT NULL
);

-- What happened per minute and end sender. Ingestion appends differences (is_merged false), the rollups job merges
-- them; readers always sum. Messages: accepted, held (by the verdict), parked (by a decision, after they were accepted),
-- rejected, throttled (4yz), scored, spam (suspects count half).
-- Recipients: recipients, deferred (tries), delivered, bounced (with expired), hard_bounced, blocked. source: the
-- address the recipient was delivered from, '' for what happened before delivery; sent_...: scores of what left it.
CREATE TABLE rollup_minute (
    minute TIMESTAMPTZ NOT NULL,
    account VARCHAR NOT NULL,
    reseller VARCHAR NOT NULL,
    sender VARCHAR NOT NULL,
    source VARCHAR NOT NULL,
    accepted BIGINT NOT NULL DEFAULT 0,
    held BIGINT NOT NULL DEFAULT 0,
    parked BIGINT NOT NULL DEFAULT 0,
    rejected BIGINT NOT NULL DEFAULT 0,
    throttled BIGINT NOT NULL DEFAULT 0,
    recipients BIGINT NOT NULL DEFAULT 0,
    scored BIGINT NOT NULL DEFAULT 0,
    spam DOUBLE NOT NULL DEFAULT 0,
    score_sum DOUBLE NOT NULL DEFAULT 0,
    deferred BIGINT NOT NULL DEFAULT 0,
    delivered BIGINT NOT NULL DEFAULT 0,
    bounced BIGINT NOT NULL DEFAULT 0,
    sent_scored BIGINT NOT NULL DEFAULT 0,
    sent_spam DOUBLE NOT NULL DEFAULT 0,
    hard_bounced BIGINT NOT NULL DEFAULT 0,
    blocked BIGINT NOT NULL DEFAULT 0,
    complaints BIGINT NOT NULL DEFAULT 0,
    delay_sum_seconds DOUBLE NOT NULL DEFAULT 0,
    is_merged BOOLEAN NOT NULL DEFAULT false
);

-- The same columns by single event, for buckets shorter than a minute.
CREATE VIEW flow_event AS
SELECT received_at AS happened_at, account, reseller, sender,
       (action = 'accept')::BIGINT AS accepted, (action = 'hold')::BIGINT AS held, 0 AS parked, 0 AS rejected,
       0 AS throttled, (score IS NOT NULL)::BIGINT AS scored, coalesce(score, 0) AS score_sum, 0 AS delivered
FROM message
UNION ALL
SELECT logged_at, account, reseller, sender, 0, 0, 0, (action = 'reject')::BIGINT, (action = 'defer')::BIGINT,
       (score IS NOT NULL)::BIGINT, coalesce(score, 0), 0
FROM rejection
UNION ALL
SELECT logged_at, account, reseller, sender, 0, 0, 1, 0, 0, 0, 0, 0
FROM held_event
WHERE event = 'held'
UNION ALL
SELECT finished_at, account, reseller, sender, 0, 0, 0, 0, 0, 0, 0, 1
FROM recipient
WHERE outcome = 'delivered';

-- points: share of the loss per signal; they add up to -ln(score / 100).
CREATE TABLE reputation (
    entity_kind VARCHAR NOT NULL,
    entity VARCHAR NOT NULL,
    account VARCHAR NOT NULL,
    reseller VARCHAR NOT NULL,
    computed_at TIMESTAMPTZ NOT NULL,
    score DOUBLE NOT NULL,
    low DOUBLE NOT NULL,
    high DOUBLE NOT NULL,
    band VARCHAR NOT NULL,
    n BIGINT NOT NULL,
    points JSON NOT NULL
);

-- The last computed reputation of every entity; `reputation` is the history.
CREATE TABLE reputation_now AS FROM reputation LIMIT 0;

-- The multiplier last sent to the relay for a sender.
CREATE TABLE published (
    sender VARCHAR PRIMARY KEY,
    band VARCHAR NOT NULL,
    value DOUBLE NOT NULL,
    decision_id VARCHAR NOT NULL,
    sent_at TIMESTAMPTZ NOT NULL,
    ends_at TIMESTAMPTZ NOT NULL
);

-- The runs of each job that did something or failed; idle ones are counted by the last row of job.
CREATE TABLE job_run (
    job VARCHAR NOT NULL,
    started_at TIMESTAMPTZ NOT NULL,
    seconds DOUBLE NOT NULL,
    status VARCHAR NOT NULL,
    error VARCHAR NOT NULL,
    detail VARCHAR NOT NULL
);

CREATE TABLE job (
    job VARCHAR PRIMARY KEY,
    last_started_at TIMESTAMPTZ NOT NULL,
    last_seconds DOUBLE NOT NULL,
    last_status VARCHAR NOT NULL,
    last_error VARCHAR NOT NULL,
    last_success_at TIMESTAMPTZ,
    next_run_at TIMESTAMPTZ
);

-- The bookmark: a file named here has its records in the warehouse.
CREATE TABLE ingested_file (
    name VARCHAR NOT NULL,
    rows BIGINT NOT NULL,
    size_bytes BIGINT NOT NULL,
    ingested_at TIMESTAMPTZ NOT NULL
);

-- line 0: the file as a whole.
CREATE TABLE corrupt_file (
    name VARCHAR NOT NULL,
    line BIGINT NOT NULL,
    reason VARCHAR NOT NULL,
    set_aside_at TIMESTAMPTZ NOT NULL
);
