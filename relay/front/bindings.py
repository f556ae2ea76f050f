"""What a credential is tied to: the networks it may come from and the domains it may send as. Pure."""

from collections.abc import Sequence
from email.utils import getaddresses
from ipaddress import ip_address

from relay.account import Credential
from relay.content.head import split_head
from relay.reply import PermanentError, Reply

_AUTHORS_BYTES = 8 * 1024  # of one From: field
_FIELDS, _HEAD_BYTES = 999, 256 * 1024  # content/head.py looks no further

FOREIGN_DOMAIN = Reply(550, "5.7.1", "[FROM] this login may not send mail of that domain")


def check_binding(credential: Credential | None, mail_from: str) -> None:
    """Raise PermanentError when a login may not have this envelope sender; the null sender is anybody's."""
    if credential is None or not mail_from or not credential.sender_domains:
        return
    if not may_send_as(credential.sender_domains, mail_from.rpartition("@")[2]):
        raise PermanentError(FOREIGN_DOMAIN)


def may_send_as(sender_domains: Sequence[str], domain: str) -> bool:
    """Tell whether mail of a login so bound may bear the domain, as envelope sender or in From:.

    `d` allows d alone, `*.d` and `.d` what lies below d. No domain at all is allowed only to a login that has no
    such binding: the null sender of a bounce is for the caller to let through, and From: to look at.
    """
    if not sender_domains:
        return True
    wanted = _ascii(domain)
    return bool(wanted) and any(_covers(allowed, wanted) for allowed in sender_domains)


def foreign_author(sender_domains: Sequence[str], content: bytes) -> str:
    """Return the domain of an author in From: whom a login so bound may not name, else "".

    Readers differ on which of several authors they show, so each must be its own; "nobody" where there is no author,
    or none that all readers would read alike.
    """
    head = split_head(content)
    written = [value for name, value in head.fields if name == b"from"]
    if (
        not written
        or len(head.fields) > _FIELDS
        or head.body_at > _HEAD_BYTES
        or max(map(len, written)) > _AUTHORS_BYTES
    ):
        return "nobody"
    for _, address in getaddresses([value.decode("utf-8", "replace") for value in written]):
        domain = address.rpartition("@")[2] if "@" in address else ""
        if not may_send_as(sender_domains, domain):
            return domain or "nobody"
    return ""


def may_come_from(credential: Credential, client_ip: str) -> bool:
    """Tell whether this login may be used at a client's address."""
    if not credential.networks:
        return True
    try:
        address = ip_address(client_ip.partition("%")[0])
    except ValueError:  # no peer name: the client has left already
        return False
    address = getattr(address, "ipv4_mapped", None) or address
    return any(address in network for network in credential.networks)


def _covers(allowed: str, wanted: str) -> bool:
    if allowed.startswith(("*.", ".")):
        return wanted.endswith(allowed.removeprefix("*"))
    return wanted == allowed


def _ascii(domain: str) -> str:
    lowered = domain.lower().rstrip(".")
    if lowered.isascii():
        return lowered
    try:
        return lowered.encode("idna").decode()
    except UnicodeError:
        return ""
