"""How the mail of an account is read: which fields, which witnesses in which order, which fields are cut.

Made once per account's set of rules and kept; nothing is compiled for a message.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from types import ModuleType

from relay.account import IdentityRule
from relay.envelope import Submission
from relay.front.witnesses import TEXT_LENGTH, Reader, Topmost, header, mail_from, received, received_line

FORWARDED, CREDENTIAL_BOUND = "forwarded", "credential-bound"
UNNAMED = frozenset(("credential", "client address"))  # sources that stand for everybody behind them
SCRIPT_HEADERS = ("X-PHP-Originating-Script", "X-PHP-Script", "X-Source-Dir")

# Script headers stay in the message: evidence for whoever gets it, and no login. These name logins.
LOGIN_HEADERS = ("X-AuthUser", "X-Authenticated-Sender", "X-Authenticated-Id", "X-PPP-Vhost")

_PATTERN_MEMORY = 1 << 20  # bytes of one pattern's automaton; beyond it is slower, never more than linear
_CACHED_PLANS = 1_024


@dataclass(frozen=True, slots=True)
class Witness:
    """One source of a name. `is_vouched_for`: the customer's server wrote it, not whoever wrote the message."""

    kind: str
    source: str
    read: Reader
    is_vouched_for: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """What to look for in a header block. `first_field` matches at its begin, `later_fields` behind each line feed."""

    witnesses: tuple[Witness, ...]
    cut: frozenset[bytes]
    first_field: Callable[[bytes, int, int], re.Match[bytes] | None]
    later_fields: Callable[[bytes, int, int], Iterator[re.Match[bytes]]]


# What does not come from the message; on an account with one owner nothing else is believed
_ENVELOPE: dict[str, Reader] = {
    "MAIL FROM": mail_from,
    "credential": lambda submission, _: submission.credential,
    "client address": lambda submission, _: submission.client_ip,
}
_VOUCHED: dict[str, Reader] = {"AUTH=": lambda submission, _: submission.auth_param, "Received": received}
PSEUDO_SOURCES = (*_VOUCHED, *_ENVELOPE)

# The usual order: first the login as a panel's server writes it, then what is left of the envelope
DEFAULT_RULES = (
    IdentityRule("x-authuser", "X-AuthUser"),
    IdentityRule("x-authsender", "X-Authenticated-Sender"),
    IdentityRule("x-authid", "X-Authenticated-Id"),
    IdentityRule("auth", "AUTH="),
    IdentityRule("received", "Received"),
    IdentityRule("vhost", "X-PPP-Vhost"),
    IdentityRule("mailfrom", "MAIL FROM"),
    IdentityRule("credential", "credential"),
    IdentityRule("unknown", "client address"),
)
_LAST_RESORT = DEFAULT_RULES[-2:]


@lru_cache(_CACHED_PLANS)
def plan_of(rules: tuple[IdentityRule, ...], is_shared_host: bool) -> Plan:
    """Compile an account's rules. They are the whole order: what they do not name stands under the credential.

    An account with one owner is believed no header: its rules only cut, and order the envelope. Raises ValueError for
    a pattern that does not compile; `check_rules` has said so before.
    """
    asked = [rule for rule in rules if is_shared_host or rule.source in _ENVELOPE]
    if not asked and not is_shared_host:
        asked = [rule for rule in DEFAULT_RULES if rule.source in _ENVELOPE]
    witnesses = tuple(_witness(rule) for rule in (*asked, *_LAST_RESORT))
    headers = [rule for rule in rules if rule.source not in PSEUDO_SOURCES]
    kept = {rule.source.lower() for rule in headers if not rule.remove and is_shared_host}
    removed = {name.lower() for name in LOGIN_HEADERS} | {rule.source.lower() for rule in headers if rule.remove}
    names = {rule.source.lower() for rule in headers} | removed | {name.lower() for name in SCRIPT_HEADERS}
    names |= {"received"} if any(rule.source == "Received" for rule in asked) else set()
    alternatives = b"|".join(re.escape(name.encode()) for name in sorted(names, key=len, reverse=True))
    return _plan(witnesses, removed - kept, alternatives)


def compiled(pattern: str) -> Callable[[str], str]:
    """Return what finds a pattern's one group in a text ("" when it does not match). Raises ValueError."""
    re2 = _re2()
    options = re2.Options()
    options.log_errors, options.max_mem = False, _PATTERN_MEMORY
    try:
        regexp = re2.compile(pattern, options)
    except (re2.error, UnicodeError) as error:
        raise ValueError(f"pattern {pattern!r}: {_words(error)}") from None
    if regexp.groups != 1:
        raise ValueError(f"pattern {pattern!r}: has {regexp.groups} groups; exactly one is needed, (?:...) makes none")

    def find(text: str) -> str:
        found = regexp.search(text if text.isascii() else text.encode("utf-8", "replace").decode())
        return found[1] or "" if found else ""

    return find


def _plan(witnesses: tuple[Witness, ...], cut: set[str], alternatives: bytes) -> Plan:
    field = rb"(" + alternatives + rb")[ \t]*:([^\r\n]*(?:\r?\n[ \t][^\r\n]*)*)"
    return Plan(
        witnesses,
        frozenset(name.encode() for name in cut),
        re.compile(field, re.IGNORECASE).match,
        # begins with a plain LF, which the engine finds by memchr; with ^ it would look at every byte
        re.compile(rb"\n" + field, re.IGNORECASE).finditer,
    )


def _witness(rule: IdentityRule) -> Witness:
    read = _ENVELOPE.get(rule.source) or _VOUCHED.get(rule.source) or header(rule.source.lower().encode())
    if rule.pattern:
        read = _picked(_whole(rule.source), compiled(rule.pattern))
    return Witness(rule.kind, rule.source, read, rule.source not in _ENVELOPE)


def _picked(read: Reader, find: Callable[[str], str]) -> Reader:
    return lambda submission, topmost: find(" ".join(read(submission, topmost)[:TEXT_LENGTH].split()))


def _whole(source: str) -> Reader:
    """What a pattern is searched in: the source as it was written, on one line."""
    match source:
        case "MAIL FROM":
            return lambda submission, _: submission.mail_from.strip("<>")
        case "Received":
            return _received_of_server
        case _:
            name = source.lower().encode()
            return _ENVELOPE.get(source) or _VOUCHED.get(source) or (lambda _, topmost: topmost.get(name, ""))


def _received_of_server(submission: Submission, topmost: Topmost) -> str:
    """The first Received line, unless another host than the connected one wrote it."""
    line = received_line(topmost)
    return line if f" by {submission.helo} ".lower() in f" {line} ".lower() else ""


def _re2() -> ModuleType:
    import re2  # only relays with patterns load it

    module: ModuleType = re2
    return module


def _words(error: Exception) -> str:
    """The library's complaint as a text: it raises the bytes of one."""
    said = error.args[0] if error.args else ""
    return said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)


# Factored by hand, as the engine tries one branch of an alternation after the other at each line
_LOGINS = rb"x-(?:auth(?:user|enticated-(?:sender|id))|ppp-vhost|php-(?:originating-)?script|source-dir)"
_CUT = {name.lower() for name in LOGIN_HEADERS}
SHARED_HOST = _plan(tuple(_witness(rule) for rule in DEFAULT_RULES), _CUT, _LOGINS + rb"|received")
OWN_HOST = _plan(tuple(_witness(rule) for rule in DEFAULT_RULES if rule.source in _ENVELOPE), _CUT, _LOGINS)
