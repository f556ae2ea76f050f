-- A listing counts when it is confirmed; entity_kind is ip, domain, or list for the health of the list itself.
ALTER TABLE listing ADD COLUMN entity_kind VARCHAR DEFAULT 'ip';
ALTER TABLE listing ADD COLUMN confirmed BOOLEAN DEFAULT false;
ALTER TABLE listing ADD COLUMN since_at TIMESTAMPTZ;
ALTER TABLE listing ADD COLUMN codes VARCHAR[];
ALTER TABLE listing ADD COLUMN weight DOUBLE DEFAULT 0;

-- What a confirmed listing (since_at) of one of our addresses led to. state: quarantined (source is out of use by this
-- row), told (nothing but an alarm: the code is no reason, or no other source is left, or the setting is off), by hand
-- (a person took it back into use), lifted (clean twice). source '' when no source has the address. Of an address at most one row is open (ended_at NULL).
CREATE TABLE quarantine (
    address VARCHAR NOT NULL,
    source VARCHAR NOT NULL,
    since_at TIMESTAMPTZ NOT NULL,
    state VARCHAR NOT NULL,
    reason VARCHAR NOT NULL,
    decided_at TIMESTAMPTZ NOT NULL,
    ended_at TIMESTAMPTZ
);
