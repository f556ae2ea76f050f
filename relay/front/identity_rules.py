"""How a rule of identity is written: KIND=SOURCE[~PATTERN][!keep]."""

import re

from relay.envelope import IdentityRule

_KIND = re.compile(r"[a-z][a-z0-9-]{0,31}")
_SOURCE = re.compile(r"[!-9;-}]{1,76}")  # a header's name (RFC 5322 2.2), or one of the sources of identity.py


def parse_rule(text: str) -> IdentityRule:
    """Read a rule. Raises ValueError that says what is wrong with it.

    >>> parse_rule("uid=X-PHP-Originating-Script~^([0-9]+):!keep")
    IdentityRule(kind='uid', source='X-PHP-Originating-Script', pattern='^([0-9]+):', remove=False)
    """
    rest = text.removesuffix("!keep")
    kind, equals, after = rest.partition("=")
    source, _, pattern = after.partition("~")
    if not equals or not _KIND.fullmatch(kind) or not _SOURCE.fullmatch(source):
        raise ValueError(f"{text!r}: write KIND=SOURCE[~PATTERN][!keep], like site=X-AuthUser")
    try:
        groups = re.compile(pattern).groups
    except re.error as error:
        raise ValueError(f"{text!r}: the pattern is wrong: {error}") from None
    if pattern and groups != 1:
        raise ValueError(f"{text!r}: the pattern must have exactly one group, it has {groups}")
    return IdentityRule(kind, source, pattern, remove=rest == text)
