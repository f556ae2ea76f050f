"""Reputation of senders, accounts and addresses: counted (counts), scored (score), sent to the relay (multiplier)."""
