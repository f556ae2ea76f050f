"""What a credential is tied to: the networks it may come from and the domains it may send as. Pure."""

from collections.abc import Sequence
from ipaddress import ip_address

from relay.envelope import Credential
from relay.reply import PermanentError, Reply

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
