"""A recipient complained: written to the journal first, then told to the relay, whose triggers count it at once."""

import logging
from collections.abc import Callable
from typing import Any

import msgspec

from analytics.serving.ask import Unanswerable
from analytics.warehouse import Warehouse
from relay.clock import Clock
from relay.control.client import ControlClient, ControlError
from relay.control.views import Outcome
from relay.events import Complaint
from relay.spool.journal import Journal

# Feedback often hides the recipient: then one of them stands for all, they left together.
_WAY = """
SELECT coalesce(source, '') AS source, coalesce(destination, '') AS destination
FROM recipient
WHERE message_id = $message_id AND message_id <> '' AND outcome = 'delivered'
ORDER BY recipient = $recipient DESC, recipient_id
LIMIT 1
"""

_log = logging.getLogger("mailweir.complaints")


class NewComplaint(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """POST /v1/complaints: message_id (ours) or sender, who complained, where."""

    message_id: str = ""
    sender: str = ""
    recipient: str = ""
    provider: str = ""
    feedback_type: str = "abuse"


class TakenComplaint(msgspec.Struct, frozen=True, kw_only=True):
    """Whom it was attributed to ("" when its message is not known yet), and whether the relay heard of it."""

    sender: str
    relay_told: bool


class Complaints:
    """Takes complaints. `relay` makes a client of the control API."""

    def __init__(
        self, warehouse: Warehouse, journal: Journal, clock: Clock, relay: Callable[[], ControlClient]
    ) -> None:
        self._warehouse, self._journal, self._clock, self._relay = warehouse, journal, clock, relay

    def take(self, new: NewComplaint) -> TakenComplaint:
        """Journal a complaint and tell the relay. Raises Unanswerable when it names neither message nor sender."""
        if not new.message_id and not new.sender:
            raise Unanswerable("a complaint names a message_id or a sender")
        whose = self._whose(new)
        complaint = Complaint(
            **self._journal.stamp(),
            message_id=new.message_id,
            account=whose.get("account", ""),
            reseller=whose.get("reseller", ""),
            sender=whose.get("sender", ""),
            recipient=new.recipient,
            provider=new.provider,
            feedback_type=new.feedback_type,
            sandbox=bool(whose.get("sandbox")),
            reported_at=self._clock.now(),
        )
        self._journal.append(complaint)
        _log.info("complaint message_id=%s account=%s sender=%s", new.message_id, complaint.account, complaint.sender)
        return TakenComplaint(sender=complaint.sender, relay_told=self._tell(complaint))

    def _whose(self, new: NewComplaint) -> dict[str, Any]:
        """The sender of a known message wins over what the complaint says."""
        if new.message_id:
            query = "SELECT account, reseller, sender, sandbox FROM message WHERE message_id = $message_id LIMIT 1"
            rows = self._warehouse.table(query, message_id=new.message_id).to_pylist()
            if rows:
                return dict(rows[0])
        if new.sender:
            return {"sender": new.sender, "account": new.sender.split("|", 1)[0]}
        return {}

    def _way(self, complaint: Complaint) -> dict[str, str]:
        """From which address to which destination it went: a new address warms up by what its mail earns."""
        rows = self._warehouse.table(_WAY, message_id=complaint.message_id, recipient=complaint.recipient).to_pylist()
        return {"source": rows[0]["source"], "destination": rows[0]["destination"]} if rows else {}

    def _tell(self, complaint: Complaint) -> bool:
        if not complaint.sender:
            return False
        outcome = Outcome(
            kind="complaint",
            sender=complaint.sender,
            message_id=complaint.message_id,
            recipient=complaint.recipient,
            **self._way(complaint),
        )
        try:
            with self._relay() as relay:
                relay.outcome(outcome)
        except ControlError as error:  # the journal has it: reputation counts it, only the fast trigger does not
            _log.warning("relay not told of complaint sender=%s error=%s", complaint.sender, error)
            return False
        return True
