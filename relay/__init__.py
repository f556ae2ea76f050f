"""The relay: what happens to this message, now? The ground floor; imports nothing from above."""

__version__ = "0.1.0"
