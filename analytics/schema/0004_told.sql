-- Who hears of a failure: sender, digest or nobody, and why that one.
ALTER TABLE recipient ADD COLUMN told VARCHAR;
ALTER TABLE recipient ADD COLUMN told_why VARCHAR;
