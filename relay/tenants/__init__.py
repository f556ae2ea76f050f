"""Tenants of a platform: end senders below one account, named by one header of the platform's own mail."""
