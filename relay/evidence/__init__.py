"""What comes back: whether it proves whose message it is about, and which addresses it suppresses."""
