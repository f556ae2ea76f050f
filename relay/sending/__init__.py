"""For Python programs that send mail through a relay: a small typed client of the HTTP door (docs/applications.md)."""
