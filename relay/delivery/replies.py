"""What a reply of a next hop means: its category, and the rule that said so (rules/bounces.toml).

Sure rules first; then the text model (wording.py), when it is sure; then the rules that trust a code or a weak word,
since codes lie; last the model's best guess. A bounce is hard when a rule knows the words, or when the model and the
code agree.
A reply of ours (OwnReply) carries its category: no rule may ever match our own words.
"""

import importlib.resources
import re
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache, lru_cache
from typing import Any, NamedTuple

from relay.delivery.wording import guess, table
from relay.reply import Reply

_TEXT_LIMIT = 500
_ENHANCED = re.compile(r"[#(]?([245]\.\d{1,3}\.\d{1,3})(?![\d.])[) \t:;,-]*")
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f]+")


class Category(StrEnum):
    """Bounce categories: IANA's and KumoMTA's fifteen, and six of ours."""

    INVALID_RECIPIENT = "InvalidRecipient"
    BAD_DOMAIN = "BadDomain"
    INACTIVE_MAILBOX = "InactiveMailbox"
    INVALID_SENDER = "InvalidSender"
    QUOTA_ISSUES = "QuotaIssues"
    NO_ANSWER = "NoAnswerFromHost"
    BAD_CONNECTION = "BadConnection"
    DNS_FAILURE = "DNSFailure"
    ROUTING_ERRORS = "RoutingErrors"
    TRANSIENT_FAILURE = "TransientFailure"
    MESSAGE_EXPIRED = "MessageExpired"
    PROTOCOL_ERRORS = "ProtocolErrors"
    AUTHENTICATION_FAILED = "AuthenticationFailed"
    POLICY_RELATED = "PolicyRelated"
    TOO_MANY_RECIPIENTS = "TooManyRecipients"
    REPUTATION_BLOCK = "ReputationBlock"
    CONTENT_BLOCK = "ContentBlock"
    RATE_LIMITED = "RateLimited"
    GREYLISTED = "Greylisted"
    CONFIG_CUSTOMER = "ConfigCustomer"
    TOO_BIG = "MessageTooBig"
    UNCLASSIFIED = "Unclassified"


@dataclass(frozen=True, slots=True)
class OwnReply(Reply):
    """A reply that no peer gave: the connection, the DNS or the hop's missing abilities, in words of ours."""

    category: Category = Category.TRANSIENT_FAILURE


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a failure means. `is_hard`: the address does not exist, so later mail to it fails as well. `fix`: what
    whoever configured the sending side has to do. `rule`: an id of bounces.toml, "words" (the text model), "own", or ""
    when nothing knew it. `confidence` lies in [0, 1]: 1 for a sure rule, a half for a code alone.
    """

    category: Category
    rule: str
    is_hard: bool
    fix: str = ""
    confidence: float = 1.0


@dataclass(frozen=True, slots=True)
class _Rule:
    """`text`: its place among the patterns that are searched for at once; None: any text will do."""

    id: str
    category: Category
    enhanced: re.Pattern[str] | None
    text: int | None
    codes: str
    fix: str

    def matches(self, reply: Reply, found: frozenset[int]) -> bool:
        return (
            (self.text is None or self.text in found)
            and (not self.codes or str(reply.code).startswith(self.codes))
            and (self.enhanced is None or self.enhanced.fullmatch(reply.enhanced) is not None)
        )


class _Rules(NamedTuple):
    """The sure ones, those asked after the text model, and what searches a text for all their patterns at once (RE2:
    ten times faster than one after the other, and linear in the text)."""

    sure: tuple[_Rule, ...]
    late: tuple[_Rule, ...]
    search: Callable[[bytes], Sequence[int] | None]


_HARD = (Category.INVALID_RECIPIENT, Category.INACTIVE_MAILBOX, Category.BAD_DOMAIN)
_SURE, _LIKELY = 0.6, 0.3  # of the model: before a code is asked; when none says anything
_BY_CODE = 0.5
_OF_ADDRESS = re.compile(r"5\.(1\.(1|2|3|6|10)|2\.1)")


@lru_cache(maxsize=4096)
def classify(reply: Reply) -> Outcome:
    """Return what a 4yz or 5yz reply means."""
    if isinstance(reply, OwnReply):
        return Outcome(reply.category, "own", reply.category is Category.BAD_DOMAIN and reply.is_permanent)
    rules = _rules()
    found = frozenset(rules.search(reply.text.encode("utf-8", "replace")) or ())
    for rule in rules.sure:
        if rule.matches(reply, found):
            return _outcome(rule, reply, 1.0, is_known=True)
    name, probability = guess(reply)
    category = Category(name) if name else Category.UNCLASSIFIED
    if probability >= _SURE:
        # the model alone gives no address up; it must be what the code says too
        is_hard = category in _HARD and reply.is_permanent and _OF_ADDRESS.fullmatch(reply.enhanced) is not None
        return Outcome(category, "words", is_hard, confidence=probability)
    for rule in rules.late:
        if rule.matches(reply, found):
            # an address is given up for a code alone only when the words are about an address too
            is_known = rule.text is not None or not reply.text or category in _HARD
            return _outcome(rule, reply, _BY_CODE, is_known=is_known)
    if probability >= _LIKELY:
        return Outcome(category, "words", False, confidence=probability)
    return Outcome(Category.UNCLASSIFIED, "", False, confidence=0.0)


def _outcome(rule: _Rule, reply: Reply, confidence: float, *, is_known: bool) -> Outcome:
    # 5.7.x is about us or the content, whatever the words say of the recipient (spec 2.12)
    is_hard = is_known and rule.category in _HARD and reply.is_permanent and not reply.enhanced.startswith("5.7.")
    return Outcome(rule.category, rule.id, is_hard, rule.fix, confidence)


@lru_cache(maxsize=4096)
def parse_reply(raw: bytes) -> Reply:
    """Return the reply of one or more whole lines, joined by LF. Whatever the bytes are, the text is printable.

    Raises ValueError when it does not begin with a code between 200 and 599.

    >>> parse_reply(b"550 5.1.1 no such user\\r")
    Reply(code=550, enhanced='5.1.1', text='no such user')
    """
    code = int(raw[:3]) if raw[:3].isdigit() else 0
    if not 200 <= code <= 599:
        raise ValueError("no reply code")
    texts, enhanced = [], ""
    for line in raw[: 4 * _TEXT_LIMIT].split(b"\n"):
        text = _printable(line[4:] if line[:3].isdigit() else line)
        if found := _ENHANCED.match(text):
            enhanced = enhanced or found[1]
            text = text[found.end() :]
        texts.append(text)
    return Reply(code, enhanced, " ".join(text for text in texts if text)[:_TEXT_LIMIT])


def _printable(line: bytes) -> str:
    try:
        text = line.decode()
    except UnicodeDecodeError:
        text = line.decode("latin-1")
    return _UNPRINTABLE.sub(" ", text).strip()


@cache
def _rules() -> _Rules:
    """Raises KeyError, ValueError or re.error: a rule that cannot be read must stop the relay at start, not at the
    first bounce (courier.py asks for it)."""
    import re2  # a moment and 3 MB, spared whoever only wants the names above

    source = importlib.resources.files("relay.rules").joinpath("bounces.toml").read_text("utf-8")
    options = re2.Options()
    options.case_sensitive, options.log_errors = False, False
    patterns = re2.Set.SearchSet(options)
    rules: dict[bool, list[_Rule]] = {False: [], True: []}
    for row in tomllib.loads(source)["rule"]:
        try:
            rules[row.get("late", False)].append(_rule_of(row, patterns))
        except re2.error as error:
            raise ValueError(f"bounces.toml: rule {row['id']}: {error}") from error
    patterns.Compile()
    return _Rules(tuple(rules[False]), tuple(rules[True]), patterns.Match)


def _rule_of(row: dict[str, Any], patterns: Any) -> _Rule:
    return _Rule(
        id=row["id"],
        category=Category(row["category"]),
        enhanced=re.compile(row["enhanced"]) if "enhanced" in row else None,
        text=patterns.Add(row["text"]) if "text" in row else None,
        codes=row.get("code", ""),
        fix=row.get("fix", ""),
    )


def check_rules() -> int:
    """Return the number of rules, and load the text model: at start, not at the first bounce. Raises KeyError,
    ValueError or re.error when either is wrong."""
    rules = _rules()
    table()
    return len(rules.sure) + len(rules.late)
