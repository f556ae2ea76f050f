"""Searching messages: the query language, from its text to bounded SQL with parameters."""
