"""Forgetting a person, and purging what is old or of a customer who left: analytics' stores, and the commands."""
