"""Trials about cases and senders: answers to several, to a text, to a range of scores; slow down, block, limit."""

import math
from urllib.parse import quote

from bench.orders.proof import Missing, Proof, Trial
from relay.control.views import ReleaseOrder
from relay.holds.views import HeldQuery
from relay.notices.texts import redacted
from relay.policy.limits.levels import Level


def confirm_many(proof: Proof) -> None:
    """Two of three ticked cases are confirmed; the third stays as it is."""
    senders = proof.quiet_senders(3)
    ids = [proof.held(sender) for sender in senders]
    hands = proof.hands
    hands.open("/decisions?window=1h")
    hands.choose(*(_name(sender) for sender in senders[:2]))
    said = hands.ask("Confirm 2")
    proof.has("2 senders stay stopped", said, where="the dialog")
    hands.fill("Note for the audit log", "sold lists")
    told = hands.answer("Confirm all")
    proof.has("Confirmed: 2 senders stay stopped", told, where="the page")
    by = [proof.relay.decision(one).confirmed_by for one in ids]
    proof.saw("two are confirmed by the person, the third by nobody", by == [proof.person, proof.person, ""], by)
    proof.audited("decision.confirm", senders[0])
    proof.audited("decision.confirm", senders[1])
    why = proof.cli("why", ids[0])
    proof.saw("mailweir why names who confirmed", why["confirmed_by"] == proof.person, why)
    for sender in senders:
        proof.relay.release_sender(sender, ReleaseOrder())


def release_many(proof: Proof) -> None:
    senders = proof.quiet_senders(2)
    ids = [proof.held(sender) for sender in senders]
    hands = proof.hands
    hands.open("/decisions?window=1h")
    hands.choose(*(_name(sender) for sender in senders))
    proof.has("go to delivery at the pace", hands.ask("Not spam: release 2"), where="the dialog")
    hands.fill("Note for the audit log", "their newsletter")
    proof.has("Released:", hands.answer("Release all"), where="the page")
    by = [proof.relay.decision(one).released_by for one in ids]
    proof.saw("both are released by the person", by == [proof.person] * 2, by)
    proof.audited("decision.release", senders[0])
    standing = proof.cli("why", senders[0])["standing"]
    proof.saw("mailweir why says that it stands as before", standing in ("ok", "throttled"), standing)
    proof.until("they are no longer in the open list", lambda: _name(senders[0]) not in hands.shown())


def some_of_many(proof: Proof) -> None:
    """One of the ticked cases is answered by somebody else meanwhile: the others are answered, and it is named."""
    senders = proof.quiet_senders(3)
    ids = [proof.held(sender) for sender in senders]
    hands = proof.hands
    hands.open("/decisions?window=1h")
    hands.choose(*(_name(sender) for sender in senders))
    hands.ask("Confirm 3")
    proof.relay.release_decision(ids[0], ReleaseOrder())
    told = hands.answer("Confirm all")
    by = [proof.relay.decision(one).confirmed_by for one in ids]
    proof.saw("the two others are confirmed", by == ["", proof.person, proof.person], by)
    proof.has(ids[0], told, where="what is told")
    proof.has("Confirmed: 2", told, where="what is told")
    proof.saw("the dialog is closed", not hands.is_asked())
    for sender in senders[1:]:
        proof.relay.release_sender(sender, ReleaseOrder())


def release_text(proof: Proof) -> None:
    hands = proof.hands
    groups = [one for one in proof.relay.held_groups("cluster", limit=8) if one.key]
    subjects = [redacted(one.subject) for one in groups]
    group = next(one for one, subject in zip(groups, subjects, strict=True) if subjects.count(subject) == 1)
    before = [one.message_id for one in proof.relay.held(query=HeldQuery(cluster=group.key))]
    hands.open("/decisions?show=texts")
    hands.choose(redacted(group.subject))
    hands.ask("Not spam: release 1 text")
    hands.fill("Note for the audit log", "a school's letter")
    proof.has("Released:", hands.answer("Release them"), where="the page")
    proof.audited("held.release")
    proof.until(
        "the parked messages of this text leave",
        lambda: len(proof.relay.held(query=HeldQuery(cluster=group.key))) < len(before),
    )
    told = proof.cli("why", before[0], is_json=False)
    proof.saw("mailweir why of such a message names the person", proof.person in told, told)


def release_scores(proof: Proof) -> None:
    """Parked mail of a range of scores, whoever sent it."""
    parked = sorted(one.score for one in proof.relay.held(limit=500) if one.score is not None)
    if not parked:
        raise Missing("parked mail with a score")
    top = math.ceil(parked[len(parked) // 10] * 10_000) / 10_000  # as the dialog writes it, not below
    number = sum(score <= top for score in parked)
    hands = proof.hands
    hands.open("/decisions?show=texts")
    hands.ask("Release by score")
    hands.fill("Score from", "0")
    hands.fill("Score to", f"{top:.4f}")
    proof.has("parked messages", hands.read(), where="the dialog")
    proof.has("Released:", hands.answer("Release them"), where="the page")
    proof.audited("held.release")
    left = proof.relay.held(query=HeldQuery(score_from=0, score_to=top))
    proof.saw("fewer of these scores are parked", len(left) < number, f"{len(left)} of {number}")


def slow_down(proof: Proof) -> None:
    sender = proof.quiet_senders(1)[0]
    hands = proof.hands
    hands.open(f"/sender?sender={quote(sender)}")
    hands.ask("Slow down")
    hands.pick("To", "a tenth")
    hands.pick("For", "1 hour")
    proof.has("It keeps a tenth", hands.read(), where="the dialog")
    proof.has("Slowed down for 1 hour", hands.answer("Slow down"), where="the page")
    view = proof.relay.sender(sender)
    proof.saw("it stands slowed down to a tenth", (view.standing, view.multiplier) == ("throttled", 0.1), view.standing)
    proof.audited("decision.throttle", sender)
    proof.shows("× 0.1")
    proof.has("by ada", proof.cli("why", sender, is_json=False), where="mailweir why")
    proof.relay.release_sender(sender, ReleaseOrder())


def block(proof: Proof) -> None:
    sender = proof.quiet_senders(1)[0]
    hands = proof.hands
    hands.open(f"/sender?sender={quote(sender)}")
    hands.ask("Block")
    hands.fill("Because", "")
    proof.saw("without a reason it cannot be pressed", not hands.can("Block"))
    hands.fill("Because", "phishing in its name")
    hands.pick("For", "6 hours")
    proof.has("Blocked for 6 hours", hands.answer("Block"), where="the page")
    view = proof.relay.sender(sender)
    proof.saw("it stands blocked", view.standing == "blocked", view.standing)
    proof.audited("decision.block", sender)
    proof.shows("phishing in its name")
    proof.has("phishing in its name", proof.cli("why", sender, is_json=False), where="mailweir why")
    proof.relay.release_sender(sender, ReleaseOrder())


def limit(proof: Proof) -> None:
    """A limit of its own, seen where it is asked for, and taken back in the same place."""
    sender = proof.quiet_senders(1)[0]
    hands = proof.hands
    hands.open(f"/sender?sender={quote(sender)}")
    hands.ask("Limit to")
    hands.fill("Recipients in any 60 minutes", "7")
    proof.has("Limited to 7 recipients an hour", hands.answer("Limit"), where="the page")
    proof.saw("the relay has it", _own_limit(proof, sender) == 7)
    proof.audited("limit.set", f"sender {sender}")
    proof.shows("7 recipients/h")
    hands.ask("Limit to")
    hands.press("Give it back", within=hands.dialog)
    proof.until("the relay has none", lambda: _own_limit(proof, sender) is None)
    proof.audited("limit.remove", f"sender {sender}")


def _own_limit(proof: Proof, sender: str) -> int | None:
    of = [one for one in proof.relay.limits(sender.partition("|")[0]) if (one.level, one.key) == (Level.SENDER, sender)]
    return of[0].rcpts_per_hour if of else None


def _name(sender: str) -> str:
    return sender.split("|", 2)[2]


TRIALS: dict[str, Trial] = {
    "cases-confirm-many": confirm_many,
    "cases-release-many": release_many,
    "cases-some-of-many": some_of_many,
    "cases-release-text": release_text,
    "cases-release-scores": release_scores,
    "sender-slow-down": slow_down,
    "sender-block": block,
    "sender-limit": limit,
}
