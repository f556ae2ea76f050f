-- Certain rules met ([[rule, action, code, what was seen], ...]); the fingerprint of the text ("EXACT-BANDS", see
-- relay/content/fingerprint.py) and how many end senders sent nearly the same text in the minutes before.
ALTER TABLE message ADD COLUMN hits JSON;
ALTER TABLE message ADD COLUMN fingerprint VARCHAR;
ALTER TABLE message ADD COLUMN same_text_senders BIGINT;
ALTER TABLE rejection ADD COLUMN hits JSON;
ALTER TABLE rejection ADD COLUMN fingerprint VARCHAR;
ALTER TABLE rejection ADD COLUMN same_text_senders BIGINT;
