"""What a reply of a next hop means: its category, and the rule that said so (rules/bounces.toml).

A reply of ours (OwnReply) carries its category: no rule may ever match our own words.
"""

import importlib.resources
import re
import tomllib
from dataclasses import dataclass
from enum import StrEnum
from functools import cache, lru_cache

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
    whoever configured the sending side has to do."""

    category: Category
    rule: str
    is_hard: bool
    fix: str = ""
    confidence: float = 1.0


@dataclass(frozen=True, slots=True)
class _Rule:
    id: str
    category: Category
    enhanced: re.Pattern[str] | None
    text: re.Pattern[str] | None
    codes: str
    fix: str

    def matches(self, reply: Reply) -> bool:
        return (
            str(reply.code).startswith(self.codes)
            and (self.enhanced is None or self.enhanced.fullmatch(reply.enhanced) is not None)
            and (self.text is None or self.text.search(reply.text) is not None)
        )


_HARD = (Category.INVALID_RECIPIENT, Category.INACTIVE_MAILBOX, Category.BAD_DOMAIN)


@lru_cache(maxsize=4096)
def classify(reply: Reply) -> Outcome:
    """Return what a 4yz or 5yz reply means; the first rule that matches decides."""
    if isinstance(reply, OwnReply):
        return Outcome(reply.category, "own", reply.category is Category.BAD_DOMAIN and reply.is_permanent)
    for rule in _rules():
        if rule.matches(reply):
            # 5.7.x is about us or the content, whatever the words say of the recipient (spec 2.12)
            is_hard = rule.category in _HARD and reply.is_permanent and not reply.enhanced.startswith("5.7.")
            return Outcome(rule.category, rule.id, is_hard, rule.fix)
    return Outcome(Category.UNCLASSIFIED, "", False)


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
def _rules() -> tuple[_Rule, ...]:
    source = importlib.resources.files("relay.rules").joinpath("bounces.toml").read_text("utf-8")
    return tuple(_rule_of(row) for row in tomllib.loads(source)["rule"])


def _rule_of(row: dict[str, str]) -> _Rule:
    """A rule that cannot be read must stop the relay at start, not at the first bounce: courier.py asks for it."""
    return _Rule(
        id=row["id"],
        category=Category(row["category"]),
        enhanced=re.compile(row["enhanced"]) if "enhanced" in row else None,
        text=re.compile(row["text"], re.IGNORECASE) if "text" in row else None,
        codes=row.get("code", ""),
        fix=row.get("fix", ""),
    )


def check_rules() -> int:
    """Return the number of rules. Raises KeyError, ValueError or re.error when bounces.toml is wrong."""
    return len(_rules())
