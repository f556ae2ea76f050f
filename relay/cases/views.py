"""What the control API says to an abuse desk about its cases: marks of alarms, notes about senders, live signals."""

from datetime import datetime
from typing import Literal

import msgspec


class AlarmMark(msgspec.Struct, frozen=True, kw_only=True):
    """What a person said of an alarm. `subject`: the job, address or feed it is about, "" for the whole condition.

    acknowledged: seen, until it is raised again. silenced: seen, whatever is raised before `until`.
    """

    condition: str
    account: str
    subject: str
    kind: Literal["acknowledged", "silenced"]
    author: str
    why: str
    since: datetime
    until: datetime | None = None


class AlarmOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """POST /v1/alarms/acknowledge, /silence and /clear. `minutes`: how long it is silent; needed there only."""

    condition: str
    account: str = ""
    subject: str = ""
    why: str = ""
    minutes: float | None = None
    dry_run: bool = False


class AlarmMarked(msgspec.Struct, frozen=True, kw_only=True):
    """What is said of an alarm now; None: nothing any more."""

    mark: AlarmMark | None
    undo: str = ""
    dry_run: bool = False


class SenderNote(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody of the desk wrote about a sender, for the others."""

    id: str
    account: str
    sender: str
    author: str
    text: str
    noted_at: datetime


class NewNote(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """POST /v1/senders/{sender}/notes."""

    text: str
    dry_run: bool = False


class NoteRemoval(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """POST /v1/notes/{id}/remove."""

    dry_run: bool = False


class NoteDone(msgspec.Struct, frozen=True, kw_only=True):
    """A note that was written or removed."""

    note: SenderNote
    undo: str = ""
    dry_run: bool = False


class RateView(msgspec.Struct, frozen=True, kw_only=True):
    """What is believed of one rate of a sender: Beta(prior_bad + bad, prior_good + seen - bad), in [0, 1].

    `seen` counts messages of spam, recipients of the others, of the last `window_seconds`. The sender is stopped when
    `certainty` = P(rate > line) reaches `needed`.
    """

    signal: Literal["spam", "hard_bounce", "complaint"]
    bad: float
    seen: float
    window_seconds: int
    prior_bad: float
    prior_good: float
    line: float
    certainty: float
    needed: float


class SignalsView(msgspec.Struct, frozen=True, kw_only=True):
    """GET /v1/senders/{sender}/signals: what the triggers see of it now.

    `volume` and `unique` are recipients of this hour, usual_...: the 95th percentile of this hour of the week,
    most_...: of any hour (policy/signals/habits.py); 0 while nothing is learnt. `stranger_share` is of 24 h. `limit` is
    the recipients an hour its limits in force allow, the sender's reputation included; 0: no limit.
    """

    sender: str
    history: int
    first_seen_at: datetime
    volume: int
    usual_volume: float
    most_volume: float
    unique: int
    usual_unique: float
    most_unique: float
    weeks: int
    stranger_share: float
    usual_stranger_share: float
    burst: float
    burst_line: float
    limit: int
    rates: list[RateView]
