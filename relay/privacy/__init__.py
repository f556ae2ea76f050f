"""Forgetting a person: where an address stands in the relay's own stores, and a keyed name in its place.

In: `desk` and `routes` for the control API, `forgotten` for analytics, which does the same with its stores.
"""
