"""What a call says, and its signature. Field names as MailChannels has them (spec 2.13), and ours behind them."""

import hmac
from datetime import datetime
from typing import Any

import msgspec

from analytics.webhooks.outbox import Event
from relay.control.webhooks.conditions import CONDITIONS

_encode = msgspec.json.Encoder().encode


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """The message that an event is about, as far as the warehouse knows it."""

    ip: str = ""
    transaction_id: str = ""
    envelope_sender: str = ""
    message_id: str = ""


class Payload(msgspec.Struct, frozen=True, kw_only=True):
    """The body of a call, as JSON."""

    condition_name: str
    condition_description: str
    account_id: str
    timestamp: datetime
    originator: str
    originator_type: str
    sender_id: str
    ip: str
    transaction_id: str
    envelope_sender: str
    message_id: str
    decision_id: str
    event_id: str
    reason: str
    evidence: dict[str, Any]
    ends_at: datetime | None
    release_url: str


def payload(event: Event, message: Message, release_url: str = "") -> bytes:
    """Return the body of the calls of an event."""
    _, kind, value = [*event.sender.split("|", 2), "", ""][:3]
    return _encode(
        Payload(
            condition_name=event.condition,
            condition_description=CONDITIONS.get(event.condition, event.condition),
            account_id=event.account,
            timestamp=event.happened_at,
            originator=value or event.account,
            originator_type=kind or ("account" if event.account else ""),
            sender_id=event.sender,
            ip=message.ip,
            transaction_id=message.transaction_id,
            envelope_sender=message.envelope_sender,
            message_id=message.message_id,
            decision_id=event.decision_id,
            event_id=event.id,
            reason=event.text,
            evidence=msgspec.json.decode(event.evidence, type=dict[str, Any]),
            ends_at=event.ends_at,
            release_url=release_url,
        )
    )


def signature(secret: str, sent_unix: int, body: bytes) -> str:
    """Return the header by which a receiver knows that a call is ours and fresh.

    HMAC-SHA256, hexadecimal, over the time in seconds, a full stop, and the body.

    >>> signature("s", 1, b"{}")[:9]
    't=1,v1=61'
    """
    mac = hmac.digest(secret.encode(), f"{sent_unix}.".encode() + body, "sha256").hex()
    return f"t={sent_unix},v1={mac}"
