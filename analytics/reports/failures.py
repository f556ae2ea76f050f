"""One failed recipient, from what a report says of it."""

from dataclasses import replace

from analytics.reports.report import Action, Failure
from analytics.reports.status import Entry, status_in
from analytics.reports.verdict import coarse, judge, quotes_reply
from relay.delivery.replies import Outcome

_SURE = 0.9


def action_of(entry: Entry) -> Action:
    """Return what became of a recipient: by its action, else by its status."""
    if entry.action is not None and not (entry.action is Action.EXPANDED and entry.status.startswith("5")):
        return entry.action
    match entry.status[:1]:
        case "2":
            return Action.DELIVERED
        case "4":
            return Action.DELAYED
        case _:
            return Action.FAILED


def failure_of(entry: Entry, text: str = "") -> Failure:
    """Return the failure, its recipient as the sender wrote it. `text`: the words of the whole report, asked when the
    reply says too little; "" when they may be about another recipient."""
    action = action_of(entry)
    recipient = entry.original if "@" in entry.original else entry.final or entry.original
    outcome = _outcome(entry, text, action)
    return Failure(
        recipient=recipient,
        final=entry.final if entry.final.lower() != recipient.lower() else "",
        action=action,
        status=status_in(entry.diagnostic) if entry.status[2:] in ("", "0.0") else entry.status,
        diagnostic=" ".join(entry.diagnostic.split())[:1_000],
        category=outcome.category,
        coarse=coarse(outcome),
        rule=outcome.rule,
        confidence=outcome.confidence,
        is_hard=outcome.is_hard and action is Action.FAILED,
    )


def _outcome(entry: Entry, text: str, action: Action) -> Outcome:
    """What is said of a recipient counts before the whole report, a reply in its first paragraph before what follows.

    Explanations name every reason there may be ("there may be no such user"): for those no address is given up.
    """
    is_permanent = action is not Action.DELAYED
    said = entry.diagnostic.strip()
    first = said.partition("\n\n")[0]
    best = judge(first if quotes_reply(first) else said, entry.status, is_permanent)
    if best.confidence < _SURE and text:
        told = replace(judge(text[:2_000], entry.status, is_permanent), is_hard=False)
        best = told if told.confidence > best.confidence else best
    return best if quotes_reply(first) or first == said else replace(best, is_hard=False)
