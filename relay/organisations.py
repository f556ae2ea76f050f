"""Organisational domains (RFC 7489 section 3.2), by the public suffix list that comes with its package."""

from functools import lru_cache
from typing import Any


@lru_cache(maxsize=4096)
def organisation_of(domain: str) -> str:
    """Return the organisational domain of a lower-case domain, "" for what has none: a public suffix, a literal.

    The first call reads the list, 40 ms: at start, please.

    >>> organisation_of("bounce.shop.co.uk"), organisation_of("co.uk"), organisation_of("[192.0.2.1]")
    ('shop.co.uk', '', '')
    """
    try:
        return "" if domain.startswith("[") else _suffixes().privatesuffix(domain) or ""
    except UnicodeError:  # letters that no domain can have
        return ""


@lru_cache(maxsize=1)
def _suffixes() -> Any:
    from publicsuffixlist import PublicSuffixList  # nothing but this needs it

    return PublicSuffixList()
