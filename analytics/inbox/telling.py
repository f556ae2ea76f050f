"""Tells the relay what came back: its triggers count it, its suppression list follows by its own rule."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from analytics.inbox.attribution import Traced
from analytics.inbox.mails import News
from analytics.warehouse import Warehouse
from relay.control.client import ControlClient, ControlError
from relay.control.views import Outcome
from relay.delivery.replies import Category
from relay.evidence.views import ROWS_MAX, ReturnedMail

# what is said of our address, our pace or our configuration says nothing of a sender (relay/running/observed.py)
_OF_US = (Category.GREYLISTED, Category.RATE_LIMITED, Category.REPUTATION_BLOCK, Category.CONFIG_CUSTOMER)
_WAYS = """
SELECT message_id, recipient_id, coalesce(source, '') AS source, coalesce(destination, '') AS destination
FROM recipient
WHERE message_id IN (SELECT unnest($ids::VARCHAR[])) AND outcome = 'delivered'
ORDER BY recipient_id DESC
"""


@dataclass(frozen=True, slots=True)
class Told:
    """One piece of news and whose it is."""

    key: str
    news: News
    traced: Traced | None


def tell(relay: ControlClient, warehouse: Warehouse, news: Sequence[Told], owed: set[str]) -> int:
    """Tell all that is proved; return how many addresses were suppressed anew.

    `owed`: keys that the triggers have not counted; each leaves as soon as they have. Raises ControlError.
    """
    proved = [(one, one.traced) for one in news if one.traced is not None]
    rows = [row for one, traced in proved if (row := _row(one.news, traced)) is not None]
    suppressed = sum(relay.returned(rows[at : at + ROWS_MAX]).suppressed for at in range(0, len(rows), ROWS_MAX))
    ways = _ways(warehouse, [traced for _, traced in proved])
    for one, traced in proved:
        _count(relay, one.news, traced, ways)
        owed.discard(one.key)
    owed -= {one.key for one in news}
    return suppressed


def _row(news: News, traced: Traced) -> ReturnedMail | None:
    """What may suppress: the recipient must be one of the message's, known by the proof and not by the report."""
    if not traced.owner.recipient_id or (news.failure is not None and not news.failure.is_hard):
        return None
    failure = news.failure
    return ReturnedMail(
        account=traced.owner.account,
        address=traced.owner.recipient,
        reason="complaint" if failure is None else "hard_bounce",
        message_id=traced.owner.message_id,
        enhanced=failure.status if failure else "",
        said=failure.diagnostic[:300] if failure else news.feedback.named if news.feedback else "",
    )


def _count(relay: ControlClient, news: News, traced: Traced, ways: dict[tuple[str, int], tuple[str, str]]) -> None:
    kind = _kind(news)
    if kind is None:
        return
    owner = traced.owner
    source, destination = (
        ways.get((owner.message_id, owner.recipient_id)) or ways.get((owner.message_id, 0)) or ("", "")
    )
    outcome = Outcome(
        kind=kind,
        sender=owner.sender,
        destination=destination,
        source=source,
        message_id=owner.message_id,
        recipient=owner.recipient,
    )
    try:
        relay.outcome(outcome)
    except ControlError as error:
        if error.status != 404:  # an account that was removed counts nowhere
            raise


def _kind(news: News) -> Literal["hard_bounce", "failed", "complaint"] | None:
    if news.failure is None:
        return "complaint" if news.is_counted else None
    if news.failure.is_hard:
        return "hard_bounce"
    return None if news.failure.category in _OF_US else "failed"


def _ways(warehouse: Warehouse, traced: Sequence[Traced]) -> dict[tuple[str, int], tuple[str, str]]:
    """From which address to which destination each went; under recipient 0 that of the first."""
    if not traced:
        return {}
    found: dict[tuple[str, int], tuple[str, str]] = {}
    for row in warehouse.table(_WAYS, ids=[one.owner.message_id for one in traced]).to_pylist():
        way = row["source"], row["destination"]
        found[row["message_id"], row["recipient_id"]] = found[row["message_id"], 0] = way
    return found
