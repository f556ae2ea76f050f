"""What the control API says about held mail, as typed values."""

from datetime import datetime
from typing import Literal

import msgspec


class HeldView(msgspec.Struct, frozen=True, kw_only=True):
    """A parked message. `is_own`: held for what it says itself; `decision_id` is the open decision about its sender."""

    message_id: str
    account: str
    reseller: str
    sender: str
    mail_from: str
    subject: str
    score: float | None
    rule: str
    received_at: datetime
    recipients: list[str]
    size_bytes: int
    decision_id: str = ""
    held_at: datetime | None = None
    cluster: str = ""
    fingerprint: str = ""
    is_own: bool = False


class HeldGroupView(msgspec.Struct, frozen=True, kw_only=True):
    """Held messages with the same sender, cluster or rule (`key`); `subject` is that of the latest."""

    key: str
    messages: int
    recipients: int
    senders: int
    first_at: datetime
    last_at: datetime
    score_from: float | None
    score_to: float | None
    subject: str


class HeldContent(msgspec.Struct, frozen=True, kw_only=True):
    """GET /v1/held/messages/{id}. `text` is the beginning of its first text part, "" unless it was asked for."""

    message: HeldView
    headers: list[str]
    text: str = ""


class HeldQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which held messages: all that fit what is given. A score range includes its ends, and nothing without a score."""

    sender: str = ""
    account: str = ""
    cluster: str = ""
    rule: str = ""
    score_from: float | None = None
    score_to: float | None = None
    older_seconds: float | None = None

    @property
    def given(self) -> dict[str, str | float]:
        """What it selects by."""
        every = ((name, getattr(self, name)) for name in HeldQuery.__struct_fields__)
        return {name: value for name, value in every if value not in ("", None)}


class ReleaseOrder(HeldQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of every release; /v1/held/release needs message ids or something that selects.

    With nothing but a sender its hold ends too. `as` not_spam also forgives. `content`: free also what is held for what
    it says itself; None: unless a sender is released, who is not said to be harmless. `at_once`: at no pace.
    """

    verdict: Literal["release", "not_spam"] = msgspec.field(default="release", name="as")
    note: str = ""
    message_ids: list[str] = []
    content: bool | None = None
    at_once: bool = False
    dry_run: bool = False

    @property
    def is_of_sender(self) -> bool:
        """Tell whether it names a sender and nothing else."""
        return not self.message_ids and list(self.given) == ["sender"]


class DropOrder(HeldQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """POST /v1/held/drop: message ids, or something that selects."""

    message_ids: list[str] = []
    reason: str = "dropped by hand"
    dry_run: bool = False


class Freed(msgspec.Struct, frozen=True, kw_only=True):
    """What a release did, or would do (dry_run): decisions ended, messages and recipients on their way.

    `last_at`: when the last of them leaves, at the pace of its sender; None: all at once. `kept` are still held: for
    what they say themselves. `later` are too: at the sender's pace they would leave in more than a day. `is_cut`: more
    fit than one order takes.
    """

    sender: str
    decisions: list[str]
    messages: int
    recipients: int
    verdict: str
    last_at: datetime | None = None
    kept: int = 0
    later: int = 0
    is_cut: bool = False
    undo: str = ""
    dry_run: bool = False


class Removed(msgspec.Struct, frozen=True, kw_only=True):
    """What a drop did, or would do: messages deleted. `is_cut`: more fit than one order takes."""

    messages: int
    recipients: int
    is_cut: bool = False
    dry_run: bool = False
