"""The events that webhooks tell, read from the warehouse: decisions that stop or release somebody, and alarms."""

from datetime import datetime, timedelta
from typing import Any

from analytics.warehouse import Warehouse
from analytics.webhooks.outbox import Event, Made
from analytics.webhooks.payload import Message
from relay.control.webhooks.conditions import of_alarm, of_decision

LOOK_BACK = timedelta(hours=24)  # what happened while analytics was down for so long is told yet

# A release counts only where it ends something that was told.
_DECISIONS = """
SELECT decision_id, logged_at, account, reseller, sender, effect, rule, reason, CAST(evidence AS VARCHAR) AS evidence,
       ends_at
FROM decision
WHERE logged_at >= $since AND (
    effect IN ('throttle', 'hold', 'block', 'suspend')
    OR (effect = 'release' AND supersedes IN (
        SELECT decision_id
        FROM decision
        WHERE effect IN ('throttle', 'hold', 'block', 'suspend')
    ))
)
ORDER BY logged_at, seq
"""
_ALARMS = """
SELECT node || ':' || boot || ':' || seq AS id, logged_at, condition, account, reseller, text,
       CAST(evidence AS VARCHAR) AS evidence
FROM alarm
WHERE logged_at >= $since
ORDER BY logged_at, seq
"""
_MADE = """
SELECT webhook, event_id, attempt, epoch(logged_at) AS called_unix, is_final
FROM webhook_call
WHERE logged_at >= $since
"""
_MESSAGES = """
SELECT message_id, client_ip, mail_from, header_message_id
FROM message
WHERE received_at >= $since AND list_contains($ids, message_id)
ORDER BY received_at DESC
LIMIT 1
"""


def events(warehouse: Warehouse, since: datetime) -> list[Event]:
    """What happened since, in order."""
    found = [_decided(row) for row in warehouse.table(_DECISIONS, since=since).to_pylist()]
    found += [_alarmed(row) for row in warehouse.table(_ALARMS, since=since).to_pylist()]
    return sorted(found, key=lambda event: event.happened_at)


def made(warehouse: Warehouse, since: datetime) -> list[Made]:
    """The calls that the log has since."""
    return [Made(**row) for row in warehouse.table(_MADE, since=since).to_pylist()]


def message_of(warehouse: Warehouse, event: Event, evidence: dict[str, Any]) -> Message:
    """The youngest of the messages that an event names, as far as it is known."""
    ids = evidence.get("messages")
    if not isinstance(ids, list) or not ids:
        return Message()
    since = event.happened_at - timedelta(days=7)
    rows = warehouse.table(_MESSAGES, since=since, ids=[str(name) for name in ids]).to_pylist()
    if not rows:
        return Message(transaction_id=str(ids[-1]))
    row = rows[0]
    return Message(
        ip=row["client_ip"] or "",
        transaction_id=row["message_id"],
        envelope_sender=row["mail_from"] or "",
        message_id=row["header_message_id"] or "",
    )


def _decided(row: dict[str, Any]) -> Event:
    return Event(
        id=row["decision_id"],
        happened_at=row["logged_at"],
        condition=of_decision(row["effect"], row["rule"] or ""),
        text=row["reason"] or "",
        account=row["account"],
        reseller=row["reseller"],
        sender=row["sender"],
        decision_id=row["decision_id"],
        ends_at=row["ends_at"],
        evidence=row["evidence"] or "{}",
    )


def _alarmed(row: dict[str, Any]) -> Event:
    return Event(
        id=row["id"],
        happened_at=row["logged_at"],
        condition=of_alarm(row["condition"]),
        text=row["text"] or "",
        account=row["account"],
        reseller=row["reseller"],
        sender="",
        evidence=row["evidence"] or "{}",
    )
