-- Counts of ten minutes for entities that rollup_minute does not tell apart: from_domain (per account), url_domain, pool,
-- ip_provider ("ADDRESS|DESTINATION"). account and reseller are '' for what is nobody's alone. messages: those it was
-- seen in (recipients for ip_provider). Made anew from the rows, an hour at a time, when something of the hour came in.
CREATE TABLE rollup_part (
    bucket TIMESTAMPTZ NOT NULL,
    entity_kind VARCHAR NOT NULL,
    entity VARCHAR NOT NULL,
    account VARCHAR NOT NULL,
    reseller VARCHAR NOT NULL,
    messages BIGINT NOT NULL,
    scored BIGINT NOT NULL,
    spam DOUBLE NOT NULL,
    delivered BIGINT NOT NULL,
    bounced BIGINT NOT NULL,
    hard_bounced BIGINT NOT NULL,
    blocked BIGINT NOT NULL,
    complaints BIGINT NOT NULL
);

-- Hours of rollup_part to be made anew; an hour may stand here more than once.
CREATE TABLE part_due (hour TIMESTAMPTZ NOT NULL);
INSERT INTO part_due SELECT DISTINCT date_trunc('hour', minute) FROM rollup_minute;

-- What each signal was counted from and costs; their points and the listing's add up to -ln(score / 100) exactly.
ALTER TABLE reputation ADD COLUMN signals JSON;
ALTER TABLE reputation_now ADD COLUMN signals JSON;
