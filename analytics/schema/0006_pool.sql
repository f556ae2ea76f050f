-- The egress pool a message leaves through; '' for what the relay itself sends.
ALTER TABLE message ADD COLUMN pool VARCHAR;
