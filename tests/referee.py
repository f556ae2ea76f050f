"""Who judges at a sink by more than the recipient's address: from where a connection comes, how often, how fast."""

from dataclasses import dataclass, field
from itertools import count

_numbers = count(1)


@dataclass(eq=False)
class Visit:
    """One connection to a sink. `mails`: MAIL commands so far."""

    peer: str
    number: int = field(default_factory=_numbers.__next__)
    is_tls: bool = False
    mails: int = 0


class Referee:
    """This one lets everything pass. A method returns a whole reply (421 ends the connection), b"" to say nothing."""

    def came(self, visit: Visit) -> bytes:
        """A connection was made."""
        return b""

    def left(self, visit: Visit) -> None:
        """It has ended."""

    def mail(self, visit: Visit, mail_from: str) -> bytes:
        """MAIL was heard."""
        return b""

    def rcpt(self, visit: Visit, mail_from: str, address: str) -> bytes:
        """RCPT was heard."""
        return b""

    def took(self, visit: Visit, content: bytes, recipients: tuple[str, ...]) -> None:
        """The mail is the sink's; whether its sender hears of that is another matter."""
