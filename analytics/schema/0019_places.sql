-- Where client_ip is, as the operator's MMDB files knew it then: two letters, and the number of the autonomous system.
-- NULL, '' and 0: unknown.
ALTER TABLE message ADD COLUMN country VARCHAR;
ALTER TABLE message ADD COLUMN asn BIGINT;
ALTER TABLE rejection ADD COLUMN country VARCHAR;
ALTER TABLE rejection ADD COLUMN asn BIGINT;
