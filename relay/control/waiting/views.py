"""What the control API says about mail that waits, as typed values."""

from datetime import datetime

import msgspec


class PauseView(msgspec.Struct, frozen=True, kw_only=True):
    """A pause in force. `kind`: destination, account or sender."""

    kind: str
    key: str
    author: str
    reason: str
    since: datetime
    undo: str


class QueuedView(msgspec.Struct, frozen=True, kw_only=True):
    """A recipient that waits. due_at None: fresh, its first try is under way. `paused_by` is a kind of pause or ""."""

    recipient_id: int
    recipient: str
    destination: str
    message_id: str
    account: str
    reseller: str
    sender: str
    mail_from: str
    subject: str
    received_at: datetime
    attempts: int
    due_at: datetime | None
    is_in_flight: bool
    paused_by: str = ""


class QueueView(msgspec.Struct, frozen=True, kw_only=True):
    """GET /v1/queue/recipients. `is_cut`: more wait than are shown."""

    recipients: list[QueuedView]
    pauses: list[PauseView]
    is_cut: bool = False


class QueueOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """POST /v1/queue/retry and /bounce: all queued recipients that fit what is given; something must be."""

    destination: str = ""
    account: str = ""
    sender: str = ""
    message: str = ""
    reason: str = ""
    dry_run: bool = False


class QueueDone(msgspec.Struct, frozen=True, kw_only=True):
    """What a retry or bounce did, or would do. `busy` recipients are being tried this moment and were left alone;
    `is_cut`: more fit than one order takes, ask again."""

    recipients: int
    messages: int
    busy: int = 0
    is_cut: bool = False
    undo: str = ""
    dry_run: bool = False


class PauseOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """POST /v1/queue/pause and /resume: one of destination, account and sender."""

    destination: str = ""
    account: str = ""
    sender: str = ""
    reason: str = "paused by hand"
    dry_run: bool = False


class PauseDone(msgspec.Struct, frozen=True, kw_only=True):
    """The pause as it is now in force, or was until now."""

    pause: PauseView
    undo: str
    dry_run: bool = False
