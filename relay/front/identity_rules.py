"""Identity rules as people write them: `KIND=SOURCE[~PATTERN][!keep]`, read, written and checked.

    x-authuser=X-AuthUser                          the header, cut before delivery
    site=X-Customer~^(?:www\\.)?(.+)$!keep          what the group matches; the header stays in the message
    auth=AUTH=                                     also MAIL FROM, Received, credential, client address

Order matters: the first rule that yields something names the end sender. Must never see a message.
"""

import re
from collections.abc import Sequence

from relay.account import IdentityRule
from relay.front.identity_plan import CREDENTIAL_BOUND, FORWARDED, PSEUDO_SOURCES, SCRIPT_HEADERS, UNNAMED, compiled
from relay.tree import NEWCOMERS

KEEP = "!keep"
MOST_RULES, LONGEST_PATTERN = 20, 500

_KIND = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_HEADER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,75}")
_PSEUDO = {source.lower(): source for source in PSEUDO_SOURCES}
_OURS = frozenset((FORWARDED, CREDENTIAL_BOUND, NEWCOMERS, "bounce"))  # kinds the relay itself gives
_SCRIPTS = frozenset(name.lower() for name in SCRIPT_HEADERS)
# Without these the message is another one, or its signatures break
_MESSAGE = re.compile(
    r"from|sender|reply-to|to|cc|bcc|subject|date|message-id|in-reply-to|references|mime-version|content-.*|"
    r"dkim-signature|arc-.*|authentication-results|list-.*",
    re.IGNORECASE,
)


def parse_rule(text: str) -> IdentityRule:
    """Read one rule. Raises ValueError that names the fault.

    >>> parse_rule("x-authuser=X-AuthUser")
    IdentityRule(kind='x-authuser', source='X-AuthUser', pattern='', remove=True)
    """
    kind, is_assigned, rest = text.partition("=")
    if not is_assigned:
        raise ValueError(f"{text!r}: write KIND=SOURCE, KIND=SOURCE~PATTERN, and !keep behind it to leave the header")
    remove = not rest.endswith(KEEP)
    source, has_pattern, pattern = rest.removesuffix(KEEP).partition("~")
    if has_pattern and not pattern:
        raise ValueError(f"{text!r}: there is no pattern behind ~")
    source = source.strip()
    rule = IdentityRule(kind.strip(), _PSEUDO.get(source.lower(), source), pattern, remove)
    _check(rule)
    return rule


def format_rule(rule: IdentityRule) -> str:
    """Write a rule as parse_rule reads it."""
    pattern = f"~{rule.pattern}" if rule.pattern else ""
    return f"{rule.kind}={rule.source}{pattern}{'' if rule.remove else KEEP}"


def check_rules(rules: Sequence[IdentityRule]) -> None:
    """Raise ValueError when an account cannot have these rules, in this order."""
    if len(rules) > MOST_RULES:
        raise ValueError(f"{len(rules)} identity rules: at most {MOST_RULES}")
    seen: set[tuple[str, str]] = set()
    removes: dict[str, bool] = {}
    for rule in rules:
        _check(rule)
        name = rule.source.lower()
        if (name, rule.pattern) in seen:
            raise ValueError(f"{format_rule(rule)!r}: the same source and pattern stand further up")
        if removes.setdefault(name, rule.remove) != rule.remove:
            raise ValueError(f"{format_rule(rule)!r}: another rule says the opposite of {KEEP} about {rule.source}")
        seen.add((name, rule.pattern))


def _check(rule: IdentityRule) -> None:
    text = format_rule(rule)
    if not _KIND.fullmatch(rule.kind):
        raise ValueError(f"{text!r}: the kind {rule.kind!r} must be 1 to 32 of a-z, 0-9 and -")
    if rule.kind in _OURS:
        raise ValueError(f"{text!r}: the kind {rule.kind!r} is given by the relay itself")
    _check_source(rule, text)
    _check_pattern(rule, text)


def _check_source(rule: IdentityRule, text: str) -> None:
    if rule.source in _PSEUDO.values():
        if (rule.source in UNNAMED) != (rule.kind in ("credential", "unknown")):
            raise ValueError(
                f"{text!r}: the kinds credential and unknown go with the sources credential, client address"
            )
        return
    if rule.source.lower() in _PSEUDO:
        raise ValueError(f"{text!r}: write {_PSEUDO[rule.source.lower()]!r}")
    if not _HEADER.fullmatch(rule.source):
        raise ValueError(f"{text!r}: {rule.source!r} is neither a header name nor one of {', '.join(PSEUDO_SOURCES)}")
    if rule.kind in ("credential", "unknown"):
        raise ValueError(f"{text!r}: the kind {rule.kind!r} stands for mail without a named sender")
    if rule.source.lower() in _SCRIPTS:
        raise ValueError(f"{text!r}: any script can write {rule.source}; it is shown as evidence, and names nobody")
    if rule.remove and _MESSAGE.fullmatch(rule.source):
        raise ValueError(f"{text!r}: {rule.source} belongs to the message; write {KEEP} behind the rule")


def _check_pattern(rule: IdentityRule, text: str) -> None:
    if not rule.pattern:
        return
    if len(rule.pattern) > LONGEST_PATTERN:
        raise ValueError(f"{text[:80]!r}...: the pattern has {len(rule.pattern)} characters, at most {LONGEST_PATTERN}")
    if rule.pattern.endswith(KEEP) or not rule.pattern.isprintable():
        raise ValueError(f"{text!r}: the pattern must be printable and not end with {KEEP} (write [!]keep)")
    try:
        compiled(rule.pattern)
    except ValueError as error:
        raise ValueError(f"{text!r}: {error}") from None
