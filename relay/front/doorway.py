"""What the sessions of one relay share, and who counts them."""

import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from relay.account import Account, Credential
from relay.clock import Clock
from relay.control.suppression.suppressed import Blocked
from relay.envelope import Submission
from relay.front.auth import Authenticator
from relay.front.incoming import OpenLarge
from relay.reception.admission import Admission
from relay.reception.quota import Quota
from relay.reply import PermanentError, Reply
from relay.settings import Smtp

CLOSING = Reply(421, "4.3.2", "service shutting down, try again later")


@dataclass(frozen=True, slots=True)
class Doorway:
    """What every session of this relay shares."""

    settings: Smtp
    hostname: str
    clock: Clock
    tls: ssl.SSLContext
    authenticator: Authenticator
    account_of_ip: Callable[[str], Account | None]
    account_of_name: Callable[[str], Account | None]
    credential_of: Callable[[str], Credential | None]
    is_trusted: Callable[[str], bool]  # a client address that has logged in of late
    receive: Callable[[Submission], Awaitable[Reply]]
    open_large: OpenLarge
    on_refusal: Callable[[str, Reply, Submission | None], None]  # stage; None: not worth a record
    on_auth_failure: Callable[[str, bytes, str], None]
    admit: Callable[[Submission], Admission] | None = None  # None: no limits at RCPT
    is_limited: Callable[[], bool] = lambda: True  # False: `admit` would have nothing to say
    quota: Callable[[Submission], Quota | None] | None = None  # what is left for a sender, for who asks by HTTP
    suppressed: Callable[[str, str], Blocked | None] | None = None  # account, recipient; None: nobody is


def check_suppression(way: Doorway, account: str, recipient: str) -> None:
    """Raise PermanentError for a recipient this account may not write to (spec 2.1)."""
    blocked = way.suppressed(account, recipient) if way.suppressed else None
    if blocked is not None:
        until = f"until {blocked.ends_at:%Y-%m-%d}" if blocked.ends_at else "until it is taken off the list"
        raise PermanentError(Reply(550, "5.1.1", f"[SUP] recipient is suppressed: {blocked.reason}, {until}"))
