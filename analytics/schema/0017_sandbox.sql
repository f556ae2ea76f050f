-- Mail to the sandbox's addresses (relay/sandbox/) says nothing of anybody: counts leave these rows out. NULL: from
-- before there was a sandbox.
ALTER TABLE message ADD COLUMN sandbox BOOLEAN;
ALTER TABLE rejection ADD COLUMN sandbox BOOLEAN;
ALTER TABLE recipient ADD COLUMN sandbox BOOLEAN;
ALTER TABLE deferral ADD COLUMN sandbox BOOLEAN;
ALTER TABLE complaint ADD COLUMN sandbox BOOLEAN;
