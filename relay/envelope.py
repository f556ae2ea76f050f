"""What a door hands to the pipeline: one message as it was received."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from relay.account import Account
from relay.reply import Reply
from relay.spool.large import LargeFile


@dataclass(frozen=True, slots=True)
class Once:
    """A client's own name for a message (Idempotency-Key): what is accepted under it is kept with its answer.

    `digest` tells one request from another, `answer` makes of the reply what is answered, now and again until then.
    """

    key: str
    digest: bytes
    until: datetime
    answer: Callable[[Reply], bytes]


class Reservation(Protocol):
    """What a door keeps free for a transaction; reception/admission.py says more of it."""

    def close(self) -> None:
        """Give back what is reserved. May be called again."""
        ...


@dataclass(frozen=True, slots=True)
class Submission:
    """One message as a door received it. `content` is the message unstuffed, CRLF line ends only; of a large message
    the header block only, whose body is in `large`: the receiver seals or closes that file.

    `auth_param` is the xtext-decoded AUTH= of MAIL FROM (RFC 4954 section 5): a second witness of the identity.
    `dsn` and `rcpt_dsns` (one a recipient, or none at all) are the texts of dsn_options.py.
    `end_sender` and `sender_domains` are what the credential is bound to.
    `admission` is what the door reserved for the recipients; None: nothing, they are counted when the message is whole.
    """

    account: Account
    credential: str
    client_ip: str
    helo: str
    tls: str
    door: str
    mail_from: str
    recipients: tuple[str, ...]
    content: bytes
    received_at: datetime
    auth_param: str = ""
    is_8bit: bool = False
    is_smtputf8: bool = False
    dsn: str = ""
    rcpt_dsns: tuple[str, ...] = ()
    once: Once | None = None
    end_sender: str = ""
    sender_domains: tuple[str, ...] = ()
    large: LargeFile | None = None
    admission: Reservation | None = field(default=None, repr=False, compare=False)
