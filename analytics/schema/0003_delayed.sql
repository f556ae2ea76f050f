-- A message taken over a limit leaves at due_at; NULL: at once.
ALTER TABLE message ADD COLUMN due_at TIMESTAMPTZ;
