"""What the words of a report mean: its reply found in the text, then the classifier that delivery uses."""

import re
from dataclasses import replace
from functools import lru_cache

from analytics.reports.status import status_in
from relay.delivery.replies import Category, Outcome, classify
from relay.reply import Reply

_REPLY = re.compile(r"(?<![\d.\-/])([45]\d\d)(?:[- ,:]{1,3}|$)(?=[^\d]|[45]\.\d)")
_ENHANCED = re.compile(r"^[#(]?[245]\.\d{1,3}\.\d{1,3}(?![\d.])[) \t:;,-]*")
_LETTERS = re.compile(r"[^\W\d_]{3}")
_REPEATED = re.compile(r"(?<=\s)[45]\d\d-(?=[45]\.\d+\.\d+ |\w)")
# said in answer to MAIL FROM: "does not exist" is the sender's domain then
_ABOUT_SENDER = re.compile(
    r"(?:after|reply to|response to) (?:mail\b|helo|ehlo)|(?:sender|my name) was rejected", re.IGNORECASE
)
_OF_RECIPIENT = (Category.INVALID_RECIPIENT, Category.BAD_DOMAIN, Category.INACTIVE_MAILBOX)
_SPACE = re.compile(r"\s+")
# the ten words of reports, coarser than the categories
_COARSE = {
    Category.INVALID_RECIPIENT: "invalid-recipient",
    Category.BAD_DOMAIN: "invalid-recipient",
    Category.INACTIVE_MAILBOX: "invalid-recipient",
    Category.QUOTA_ISSUES: "mailbox-full",
    Category.TOO_BIG: "too-big",
    Category.CONTENT_BLOCK: "spam-content",
    Category.REPUTATION_BLOCK: "blocked",
    Category.RATE_LIMITED: "rate-limit",
    Category.TOO_MANY_RECIPIENTS: "rate-limit",
    Category.GREYLISTED: "rate-limit",
    Category.CONFIG_CUSTOMER: "policy-auth",
    Category.INVALID_SENDER: "policy-auth",
    Category.AUTHENTICATION_FAILED: "policy-auth",
    Category.POLICY_RELATED: "policy-auth",
    Category.PROTOCOL_ERRORS: "other",
    Category.UNCLASSIFIED: "other",
}


@lru_cache(maxsize=4096)
def judge(words: str, status: str = "", is_permanent: bool = True) -> Outcome:
    """Return what the words of a report, or a bare reply line, mean.

    status: the enhanced code given beside them, "" without one; is_permanent: whether the recipient failed for good.
    """
    outcome = classify(reply_in(words, status, is_permanent))
    if outcome.category in _OF_RECIPIENT and _ABOUT_SENDER.search(words):
        return replace(outcome, category=Category.INVALID_SENDER, is_hard=False)
    return outcome


def reply_in(words: str, status: str = "", is_permanent: bool = True) -> Reply:
    """Return the reply that is quoted in a text: its code, its enhanced code, and what follows."""
    words = _SPACE.sub(" ", words).strip()[:2_000]
    found = _REPLY.search(words)
    code = int(found[1]) if found else (500 if is_permanent else 400) + 50
    said = words[found.end() :] if found else words
    enhanced = status_in(said[:200]) or status_in(words) or status
    if enhanced[:1] != str(code)[:1]:
        enhanced = status if status[:1] == str(code)[:1] else enhanced
    # what stands before a quoted reply is the words of whoever quotes it, the same for every reason
    text = said if found and _LETTERS.search(said) else words
    return Reply(code, enhanced, _ENHANCED.sub("", _REPEATED.sub("", text))[:1_000])


def quotes_reply(words: str) -> bool:
    """Tell whether a text quotes a reply with its code."""
    return _REPLY.search(words) is not None


def coarse(outcome: Outcome) -> str:
    """Return the one of ten words for an outcome that other tools use too."""
    if outcome.rule.startswith("no-relay"):
        return "relay-denied"
    if outcome.rule.startswith("local-"):
        return "other"
    return _COARSE.get(outcome.category, "network")
