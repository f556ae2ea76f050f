"""The certain rules in main: what several messages together show is added to what a worker saw in one."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec

from relay.content.rule_book import ACTIONS, Rule, RuleBook
from relay.events import Action, Hit
from relay.policy.signals.campaigns import SENDERS, Campaign, Campaigns
from relay.policy.signals.repeats import Repeats


@dataclass(frozen=True, slots=True)
class Whose:
    """The sender of a message. `forgiven_unix`: since when a person's release holds, 0: no such release."""

    sender: str
    is_new: bool = False
    forgiven_unix: float = 0.0


@dataclass(frozen=True, slots=True)
class Text:
    """The text of a message: its fingerprint ("": not to be counted) and length in words."""

    fingerprint: str
    words: int


@dataclass(frozen=True, slots=True)
class Weighed:
    """What the rules make of a message."""

    hits: Sequence[Hit]
    campaign: Campaign


class Certain:
    """Completes the hits of each message of one relay."""

    def __init__(self, book: RuleBook, repeats: Repeats) -> None:
        self.repeats = repeats
        self.campaigns = Campaigns()
        self.suspects = Campaigns(3_600.0, 20_000)  # suspect texts of new senders
        self.take_up(book)

    def take_up(self, book: RuleBook) -> None:
        """Judge by other rules from the next message on."""
        self._repeating = {rule.id: rule for rule in book.rule if rule.after > 1}
        self._shared = [rule for rule in book.rule if rule.senders]
        self._malware = {f"content_{rule.id}" for rule in book.rule if rule.code == "MW"} | {"content_clamd"}
        self._least = min((rule.senders for rule in self._shared), default=SENDERS)
        self.campaigns.take_up(60.0 * max((rule.minutes for rule in self._shared), default=10))

    def is_malware(self, rule: str) -> bool:
        """Tell whether a verdict's rule parks what may be malware."""
        return rule in self._malware

    def complete(self, found: Sequence[Hit], text: Text, whose: Whose, now_unix: float) -> Weighed:
        """Count a message in; return its hits, each with what it does now, and who else sends its text."""
        campaign = self.campaigns.note(text.fingerprint, whose.sender, now_unix)
        if not found and campaign.same <= self._least:
            return Weighed(found, campaign)
        hits = [self._weighed(hit, whose, now_unix) for hit in found]
        hits += [
            Hit(rule.id, ACTIONS[rule.action], rule.code, _shared_by(campaign.same, rule))
            for rule in self._shared
            if campaign.same > rule.senders and text.words >= rule.least_words and not whose.forgiven_unix
        ]
        return Weighed(hits, campaign)

    def same_suspect(self, fingerprint: str, sender: str, campaign: Campaign, now_unix: float) -> int:
        """Count a suspect text of a new sender in; return how many new senders sent nearly the same within the hour,
        0 when others sent it lately: then it is a text that everybody sends."""
        new = self.suspects.note(fingerprint, sender, now_unix).nearly
        return new if campaign.nearly <= new else 0

    def _weighed(self, hit: Hit, whose: Whose, now_unix: float) -> Hit:
        rule = self._repeating.get(hit.rule)
        if rule is None:
            return hit
        since_unix = max(now_unix - rule.hours * 3600.0, whose.forgiven_unix)
        count = self.repeats.note(rule.id, whose.sender, now_unix, since_unix)
        if whose.is_new or count >= rule.after:
            which = "of a new sender" if whose.is_new else f"number {count} in {rule.hours} h"
            return msgspec.structs.replace(hit, seen=f"{hit.seen}; {which}")
        seen = f"{hit.seen}; number {count} in {rule.hours} h, acts at {rule.after}"
        return msgspec.structs.replace(hit, action=Action.ACCEPT, seen=seen)


def _shared_by(senders: int, rule: Rule) -> str:
    return f"the same text came from {senders} end senders within {rule.minutes} minutes"


def heaviest(hits: Iterable[Hit], action: Action) -> Hit | None:
    """The first hit that does `action`."""
    return next((hit for hit in hits if hit.action is action), None)
