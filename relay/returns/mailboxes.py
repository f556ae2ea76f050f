"""The mailboxes beside the return paths: abuse@, postmaster@ (RFC 2142, RFC 5321 4.5.1), fbl@, dmarc@, tlsrpt@, and
where mail programs unsubscribe by mail.

Reports are welcome in all of the former; what a person writes is welcome at abuse@ and postmaster@ only, and goes on
to the operator. Pure but for a pace. Whether mail is a report is told by its form alone: analytics reads what it says.
"""

import re
from dataclasses import dataclass

from relay.front.guard import Gcra, client_key
from relay.reply import PermanentError, Reply
from relay.settings import Settings

PEOPLES = ("abuse", "postmaster")
UNSUBSCRIBE = "unsubscribe"  # whatever the local part of headers.unsubscribe_address is
REPORTS_ONLY = Reply(550, "5.7.1", "this address takes reports only; people write to abuse@ or postmaster@")

_FORWARDS_PER_HOUR = 20  # of one client: a flood must not reach the operator's own mailbox
_NO_CONTACT, _OWN_ADDRESS, _TOO_MANY, _REPORT = "no_contact", "own_address", "too_many", "report"
_LOOKED_AT = 262_144
# A status, feedback or aggregate report in any of the wrappings that real ones come in, the type wrong or not
_report_form = re.compile(
    rb"^content-type:[ \t]*(?:\r?\n[ \t]+)?(?:multipart/report|message/|text/rfc822-headers|text/xml|application/)"
    rb"|name=\"?[^\"\r\n]{1,200}\.(?:gz|zip|xml|json)\"?|\r?\n\r?\n\{\"",
    re.IGNORECASE | re.MULTILINE,
).search
# in the head of mail to a person; an attached message is no sign: people forward what they complain of
_by_machine = re.compile(
    rb"^(?:auto-submitted:[ \t]*auto|precedence:[ \t]*(?:bulk|junk|list)"
    rb"|content-type:[ \t]*(?:\r?\n[ \t]+)?multipart/report)",
    re.IGNORECASE | re.MULTILINE,
).search


@dataclass(frozen=True, slots=True)
class Mailbox:
    """One of ours. `name`: its local part, or UNSUBSCRIBE."""

    name: str
    address: str


class Mailboxes:
    """Those of one relay."""

    def __init__(self, settings: Settings) -> None:
        self._pace = Gcra(_FORWARDS_PER_HOUR / 60, 3600.0)
        self.take_up(settings)

    def take_up(self, settings: Settings) -> None:
        inbox = settings.inbox
        domains = inbox.domains or [settings.node.hostname, settings.verp.domain]
        self._names = frozenset(inbox.addresses)
        self._domains = frozenset(domain.lower() for domain in domains if domain)
        self._contact = settings.node.abuse_contact
        self._unsubscribe = settings.headers.unsubscribe_address.lower()

    def find(self, address: str) -> Mailbox | None:
        """Return the mailbox of an address, None when it is none of ours. A detail (abuse+x@) is not looked at."""
        if self._unsubscribe and address.lower() == self._unsubscribe:
            return Mailbox(UNSUBSCRIBE, self._unsubscribe)
        local, _, domain = address.lower().rpartition("@")
        name = local.partition("+")[0]
        return Mailbox(name, address.lower()) if name in self._names and domain in self._domains else None

    def check(self, box: Mailbox, mail_from: str, content: bytes) -> None:
        """Raise PermanentError for a person's mail to a mailbox of reports."""
        if box.name not in (*PEOPLES, UNSUBSCRIBE) and mail_from and not is_report(content):
            raise PermanentError(REPORTS_ONLY)

    def forward_to(
        self, boxes: list[Mailbox], mail_from: str, content: bytes, client: tuple[str, float]
    ) -> tuple[str, str]:
        """Return the operator's address that mail goes on to, or "" and why it does not. `client`: address, and now."""
        if not mail_from or not any(box.name in PEOPLES for box in boxes) or _by_machine(_head(content)):
            return "", _REPORT
        if not self._contact:
            return "", _NO_CONTACT
        if self.find(self._contact) is not None:
            return "", _OWN_ADDRESS  # it would come back here
        if not self._pace.take(client_key(client[0]), client[1]):
            return "", _TOO_MANY
        return self._contact, ""


def is_report(content: bytes) -> bool:
    """Tell whether mail has the form of a report."""
    return _report_form(content[:_LOOKED_AT]) is not None


def _head(content: bytes) -> bytes:
    end = content.find(b"\r\n\r\n")
    return content[: end + 2] if end >= 0 else content[:65_536]
