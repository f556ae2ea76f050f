"""The door for reports: takes mail for return paths of ours, from anybody, and for nothing else.

No login, so that nobody here can be mistaken for a customer: this door must never relay.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields

from relay.account import Account, Credential
from relay.front.doorway import Doorway
from relay.front.entrances import Entrance
from relay.front.incoming import Incoming
from relay.front.server import Doors
from relay.front.session import Door
from relay.front.visit import House
from relay.reply import Reply
from relay.returns.inbound import Returns
from relay.settings import Settings, Smtp

_ANYBODY = Account("inbox")  # no account has it: nothing is spooled under it


@dataclass(frozen=True, slots=True)
class InboxWay(Doorway):
    """What every session of the inbox shares. `welcome` takes a recipient and the client's address; it raises
    RelayError for what is no return path of ours."""

    welcome: Callable[[str, str], None] = lambda recipient, client_ip: None


class InboxDoor(Door):
    """One session with somebody else's mail server."""

    way: InboxWay

    def serve(self, way: Doorway, doors: House, entrance: Entrance) -> None:
        super().serve(way, doors, entrance)
        for unwanted in ("AUTH", "XCLIENT"):
            self._smtp_methods.pop(unwanted, None)

    def _sender_account(self) -> Account:
        return _ANYBODY

    def _bound(self) -> Credential | None:
        return None

    def _may_authenticate(self) -> bool:
        return False

    def _may_xclient(self) -> bool:
        return False

    def _reserve(self, recipient: str) -> None:
        self.way.welcome(recipient, self.ip)

    def _note(self, stage: str, reply: Reply, recipient: str = "") -> None:
        if reply.is_permanent:
            self._blundered()  # who tries addresses out is shut out after smtp.errors_per_minute of them

    def _begin_message(self, *, is_stuffed: bool) -> Incoming:
        limit = self.way.settings.max_size_bytes
        return Incoming(limit, self.way.open_large, is_stuffed=is_stuffed, normalises=False, memory_bytes=limit)


def inbox_smtp(settings: Settings) -> Smtp:
    """The numbers of the doors for senders, with those of the inbox in place of theirs."""
    inbox = settings.inbox
    return settings.smtp.model_copy(
        update={
            "max_size_bytes": inbox.max_size_bytes,
            "max_connections_per_address": inbox.max_connections_per_address,
            "xclient_from": [],
        }
    )


def inbox_doors(way: Doorway, settings: Settings, returns: Returns) -> Doors:
    """Return the listeners for reports, beside those for senders that `way` is of."""
    shared = {field.name: getattr(way, field.name) for field in fields(Doorway)}
    mine = {"settings": inbox_smtp(settings), "receive": returns.receive, "welcome": returns.welcome, "admit": None}
    return Doors(InboxWay(**(shared | mine)), InboxDoor)
