"""Trials about one message: released, deleted, tried again, given up; recipient suppressed, verdict corrected."""

from bench.orders.hands import Hands
from bench.orders.proof import Missing, Proof, Trial
from relay.control.shaping.views import ResumeOrder, SuspendOrder
from relay.control.suppression.views import SuppressionRemoval


def release(proof: Proof) -> None:
    parked = proof.relay.held(limit=1)[0]
    hands = _page(proof, parked.message_id)
    hands.ask("Release")
    hands.fill("Note for the audit log", "asked for")
    proof.has("Released: it is on its way", hands.answer("Release"), where="the page")
    proof.audited("held.release")
    proof.until("it is parked no more", lambda: not _is_parked(proof, parked.message_id))
    told = proof.cli("why", parked.message_id, is_json=False)
    proof.saw("mailweir why names who released it", proof.person in told, told)
    proof.until("the page says so too", lambda: _becomes(proof, parked.message_id, "ada"), 40)


def delete(proof: Proof) -> None:
    parked = proof.relay.held(limit=1)[0]
    hands = _page(proof, parked.message_id)
    proof.has("cannot be undone", hands.ask("Delete"), where="the dialog")
    hands.fill("Reason, for the audit log", "a virus")
    proof.has("Deleted", hands.answer("Delete"), where="the page")
    proof.audited("held.drop")
    proof.saw("it is gone", not _is_parked(proof, parked.message_id))
    proof.has("a virus", proof.cli("why", parked.message_id, is_json=False), where="mailweir why")


def wait_and_give_up(proof: Proof) -> None:
    """Two messages wait for a stopped destination: one is tried again, one given up."""
    name = max(proof.relay.destinations(), key=lambda one: one.delivered).destination
    proof.relay.suspend_destination(name, SuspendOrder(reason="a trial"))
    try:
        proof.until("mail waits", lambda: len(_waiting(proof, name)) >= 2, 60)
        first, second = _waiting(proof, name)[:2]
        proof.until("the page knows it", lambda: _knows(proof, first), 40)
        hands = _page(proof, first)
        hands.ask("Try again now")
        proof.has("It is being tried", hands.answer("Try again now"), where="the page")
        proof.audited("queue.retry")
        proof.until("the page knows the other", lambda: _knows(proof, second), 40)
        hands.open(f"/messages?message={second}")
        proof.has("the sender is told", hands.ask("Give it up"), where="the dialog")
        proof.saw("without a reason it cannot be pressed", not hands.can("Give it up"))
        hands.fill("Reason, stands in the bounce", "nobody is there")
        proof.has("Given up", hands.answer("Give it up"), where="the page")
        proof.audited("queue.bounce")
        proof.saw("it waits no more", second not in _waiting(proof, name))
        proof.until("the page says why", lambda: _becomes(proof, second, "nobody is there"), 40)
    finally:
        proof.relay.resume_destination(name, ResumeOrder())


def suppress(proof: Proof) -> None:
    row = proof.queries.sql("SELECT message_id, account, recipient FROM recipient WHERE outcome = 'delivered' LIMIT 1")
    message, account, address = (str(row[name][0]) for name in ("message_id", "account", "recipient"))
    hands = _page(proof, message)
    hands.ask("Suppress recipient")
    proof.has("Suppressed: 1", hands.answer("Suppress"), where="the page")
    found = proof.relay.suppressions(account, address=address, limit=5)
    proof.saw("the relay refuses it from now on", [one.address for one in found] == [address], found)
    proof.audited("suppression.add")
    proof.relay.unsuppress(SuppressionRemoval(addresses=[address], account=account))


def verdict(proof: Proof) -> None:
    """Reported as spam, and a moment later as none."""
    row = proof.queries.sql("SELECT message_id FROM message WHERE action = 'accept' ORDER BY received_at DESC LIMIT 1")
    hands = _page(proof, str(row["message_id"][0]))
    for button, label in (("It is spam", "spam"), ("It is no spam", "ham")):
        hands.ask(button)
        hands.fill("Why, for the audit log", "they told us")
        told = hands.answer("Report it")
        proof.has("Reported", told, where="the page")
        if hands.is_asked():
            hands.press("Close", within=hands.dialog)
        last = next(one for one in proof.relay.audit(limit=20) if one.command == "label")
        proof.saw(f"audit: label {label} by {proof.person}", (last.principal, last.detail.get("label")) == (
            proof.person, label), last)  # fmt: skip


def _page(proof: Proof, message_id: str) -> Hands:
    proof.until("the page knows the message", lambda: _knows(proof, message_id), 40)
    proof.hands.open(f"/messages?message={message_id}")
    if "Nothing is known" in proof.hands.shown():
        raise Missing(f"message {message_id} on the page")
    return proof.hands


def _knows(proof: Proof, message_id: str) -> bool:
    return len(proof.queries.frame("message", message_id=message_id)) > 0


def _becomes(proof: Proof, message_id: str, words: str) -> bool:
    proof.hands.open(f"/messages?message={message_id}")
    return words in proof.hands.shown()


def _is_parked(proof: Proof, message_id: str) -> bool:
    return any(one.message_id == message_id for one in proof.relay.held(limit=500))


def _waiting(proof: Proof, destination: str) -> list[str]:
    queue = proof.relay.queued(destination=destination, limit=50)
    return list(dict.fromkeys(one.message_id for one in queue.recipients if not one.is_in_flight))


TRIALS: dict[str, Trial] = {
    "message-release": release,
    "message-delete": delete,
    "message-wait": wait_and_give_up,
    "message-suppress": suppress,
    "message-verdict": verdict,
}
