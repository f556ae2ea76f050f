"""Google's own procedure after 4.7.28 (its guidelines for senders, spec 2.9). Pure functions on values.

Stop for at least 10 minutes; then one connection; refused again: another 10 minutes; it works: add connections one at a
time. Google counts per address, SPF and DKIM domain; a text that names none of them means all three.
"""

import re

import msgspec

from relay.delivery.replies import Category, OwnReply, classify
from relay.reply import Reply

STOP_SECONDS = 600.0
GROW_SECONDS = 60.0  # so long each number of connections must have worked; Google names no figure
FORGET_SECONDS = 3600.0  # after the stop: when nothing went there since, the trial is over by itself

_CODE = "4.7.28"
# The same refusal is also sent as 421 4.7.0; "receiving mail too quickly" is one mailbox's and not meant
_TEXT = re.compile(
    r"unusual rate of|temporarily rate limited|mail sent from your \S+( address)? has been", re.IGNORECASE
)


class Procedure(msgspec.Struct, frozen=True):
    """Where it stands: nothing before `stopped_until`, then `connections` at once. Unix seconds."""

    since_at: float
    stopped_until: float
    connections: int
    grown_at: float
    reply: str
    blames: str


def is_refusal(reply: Reply) -> bool:
    """Tell whether a reply of Google's starts the procedure; missing SPF, DKIM or PTR is not a matter of pace."""
    if not reply.is_transient or isinstance(reply, OwnReply):
        return False
    if reply.enhanced == _CODE:
        return True
    return _TEXT.search(reply.text) is not None and classify(reply).category is not Category.CONFIG_CUSTOMER


def stop(before: Procedure | None, reply: str, blames: str, now: float) -> Procedure:
    """Stop, or stop once more."""
    since = before.since_at if before is not None and now < ends_at(before) else now
    until = now + STOP_SECONDS
    return Procedure(since, until, 1, until, reply, blames)


def works(before: Procedure, full: int, now: float) -> Procedure | None:
    """A message was taken: one more connection in its time. None: all `full` of them are back."""
    if now < before.grown_at + GROW_SECONDS:
        return before
    if before.connections + 1 >= full:
        return None
    return msgspec.structs.replace(before, connections=before.connections + 1, grown_at=now)


def is_stopped(procedure: Procedure, now: float) -> bool:
    return now < procedure.stopped_until


def ends_at(procedure: Procedure) -> float:
    """When it is over at the latest, if no further refusal comes."""
    return max(procedure.stopped_until, procedure.grown_at) + FORGET_SECONDS
