-- How often a job failed in a row, and how often it should run.
ALTER TABLE job ADD COLUMN failures BIGINT DEFAULT 0;
ALTER TABLE job ADD COLUMN every_seconds DOUBLE DEFAULT 0;
