"""What comes back from outside: bounces, complaints, aggregate reports, and mail that is none of these."""
