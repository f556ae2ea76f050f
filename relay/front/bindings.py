"""What a credential is tied to: the networks it may come from and the domains it may send as. Pure."""

from ipaddress import ip_address

from relay.envelope import Credential


def may_send_as(credential: Credential, domain: str) -> bool:
    """Tell whether mail of this login may bear the domain, as envelope sender or in From:.

    `d` allows d alone, `*.d` and `.d` what lies below d. No domain at all is allowed only to a login that has no
    such binding: the null sender of a bounce is for the caller to let through, and From: to look at.
    """
    if not credential.sender_domains:
        return True
    wanted = _ascii(domain)
    return bool(wanted) and any(_covers(allowed, wanted) for allowed in credential.sender_domains)


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
