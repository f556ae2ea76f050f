-- What comes from outside by the day: DMARC and TLS reports, complaints, the figures of providers' dashboards. Filled by
-- reports/feeds.py from files, which are kept for a time, not by the journal. `taken_at` is when we had it.

-- key: (kind, digest), of the file's bytes. reason: why nothing in it was taken, "" otherwise.
CREATE TABLE feed_file (
    kind VARCHAR NOT NULL,
    digest VARCHAR NOT NULL,
    name VARCHAR NOT NULL,
    author VARCHAR NOT NULL,
    taken_at TIMESTAMPTZ NOT NULL,
    size_bytes BIGINT NOT NULL,
    reports BIGINT NOT NULL,
    fresh BIGINT NOT NULL,
    reason VARCHAR NOT NULL
);

-- key: (kind, source). fresh_at: when something new came last; data_at: the end of the newest data's time.
CREATE TABLE feed (
    kind VARCHAR NOT NULL,
    source VARCHAR NOT NULL,
    first_at TIMESTAMPTZ NOT NULL,
    fresh_at TIMESTAMPTZ NOT NULL,
    data_at TIMESTAMPTZ NOT NULL,
    alarmed_at TIMESTAMPTZ,
    PRIMARY KEY (kind, source)
);

-- Whose a domain is, as the relay's accounts say. One that two accounts claim is nobody's.
CREATE TABLE domain_owner (
    domain VARCHAR NOT NULL,
    account VARCHAR NOT NULL,
    reseller VARCHAR NOT NULL
);
CREATE VIEW domain_owned AS
SELECT domain, account, reseller
FROM domain_owner
QUALIFY count(*) OVER (PARTITION BY domain) = 1;

-- key: report_key, of reporter, report id, domain and time: the same report in another wrapping is known by it.
CREATE TABLE dmarc_report (
    report_key VARCHAR NOT NULL,
    taken_at TIMESTAMPTZ NOT NULL,
    org VARCHAR NOT NULL,
    email VARCHAR NOT NULL,
    report_id VARCHAR NOT NULL,
    domain VARCHAR NOT NULL,
    begin_at TIMESTAMPTZ NOT NULL,
    end_at TIMESTAMPTZ NOT NULL,
    policy JSON NOT NULL,
    errors VARCHAR[] NOT NULL,
    mended VARCHAR NOT NULL
);

-- Many of a report_key. dkim, spf: pass when it is also aligned; the results are what each said for itself.
CREATE TABLE dmarc_record (
    report_key VARCHAR NOT NULL,
    taken_at TIMESTAMPTZ NOT NULL,
    org VARCHAR NOT NULL,
    domain VARCHAR NOT NULL,
    begin_at TIMESTAMPTZ NOT NULL,
    end_at TIMESTAMPTZ NOT NULL,
    source_ip VARCHAR NOT NULL,
    messages BIGINT NOT NULL,
    disposition VARCHAR NOT NULL,
    dkim VARCHAR NOT NULL,
    spf VARCHAR NOT NULL,
    header_from VARCHAR NOT NULL,
    envelope_from VARCHAR NOT NULL,
    envelope_to VARCHAR NOT NULL,
    reasons STRUCT(type VARCHAR, comment VARCHAR)[] NOT NULL,
    dkim_results STRUCT(domain VARCHAR, selector VARCHAR, result VARCHAR)[] NOT NULL,
    spf_results STRUCT(domain VARCHAR, scope VARCHAR, result VARCHAR)[] NOT NULL
);
CREATE VIEW dmarc AS
SELECT r.*, coalesce(o.account, '') AS account, coalesce(o.reseller, '') AS reseller
FROM dmarc_record r
LEFT JOIN domain_owned o USING (domain);

-- key: (report_key, position of the policy).
CREATE TABLE tls_policy (
    report_key VARCHAR NOT NULL,
    position BIGINT NOT NULL,
    taken_at TIMESTAMPTZ NOT NULL,
    org VARCHAR NOT NULL,
    report_id VARCHAR NOT NULL,
    begin_at TIMESTAMPTZ NOT NULL,
    end_at TIMESTAMPTZ NOT NULL,
    policy_type VARCHAR NOT NULL,
    domain VARCHAR NOT NULL,
    success BIGINT NOT NULL,
    failure BIGINT NOT NULL,
    failures STRUCT(result VARCHAR, sessions BIGINT, sending_ip VARCHAR, mx VARCHAR, receiving_ip VARCHAR,
                    reason VARCHAR)[] NOT NULL
);
CREATE VIEW tls_report AS
SELECT r.*, coalesce(o.account, '') AS account, coalesce(o.reseller, '') AS reseller
FROM tls_policy r
LEFT JOIN domain_owned o USING (domain);

-- key: (ip, begin_at). Rates lie in [0, 1]: "< 0.1%" is complaint_low 0, complaint_high 0.001.
CREATE TABLE snds (
    ip VARCHAR NOT NULL,
    begin_at TIMESTAMPTZ NOT NULL,
    end_at TIMESTAMPTZ NOT NULL,
    taken_at TIMESTAMPTZ NOT NULL,
    rcpt BIGINT NOT NULL,
    data BIGINT NOT NULL,
    recipients BIGINT NOT NULL,
    result VARCHAR NOT NULL,
    complaint_low DOUBLE,
    complaint_high DOUBLE,
    trap_begin_at TIMESTAMPTZ,
    trap_end_at TIMESTAMPTZ,
    trap_hits BIGINT NOT NULL,
    helo VARCHAR NOT NULL,
    mail_from VARCHAR NOT NULL,
    comments VARCHAR NOT NULL,
    extra JSON NOT NULL,
    PRIMARY KEY (ip, begin_at)
);

-- key: (provider, domain, day, metric): google or yahoo. value is NULL where a metric is a text; rates lie in [0, 1].
CREATE TABLE provider_figure (
    provider VARCHAR NOT NULL,
    domain VARCHAR NOT NULL,
    day DATE NOT NULL,
    metric VARCHAR NOT NULL,
    taken_at TIMESTAMPTZ NOT NULL,
    value DOUBLE,
    text VARCHAR NOT NULL,
    PRIMARY KEY (provider, domain, day, metric)
);
CREATE VIEW postmaster AS
SELECT f.* EXCLUDE (provider), coalesce(o.account, '') AS account, coalesce(o.reseller, '') AS reseller
FROM provider_figure f
LEFT JOIN domain_owned o USING (domain)
WHERE provider = 'google';
CREATE VIEW yahoo AS
SELECT f.* EXCLUDE (provider), coalesce(o.account, '') AS account, coalesce(o.reseller, '') AS reseller
FROM provider_figure f
LEFT JOIN domain_owned o USING (domain)
WHERE provider = 'yahoo';

-- key: report_key, of the mail's bytes. Complaints as they came, whoever they are about: `complaint` has the attributed.
CREATE TABLE feedback (
    report_key VARCHAR NOT NULL,
    taken_at TIMESTAMPTZ NOT NULL,
    loop VARCHAR NOT NULL,
    type VARCHAR NOT NULL,
    named VARCHAR NOT NULL,
    reporter VARCHAR NOT NULL,
    source_ip VARCHAR NOT NULL,
    original_mail_from VARCHAR NOT NULL,
    original_rcpt_to VARCHAR[] NOT NULL,
    message_id VARCHAR NOT NULL,
    incidents BIGINT NOT NULL
);
