"""The client behind a balancer: what a PROXY header (v1, v2) or XCLIENT says of it.

Believed from listed balancers only; a stranger who could say where he comes from would pass for any allowlisted server.
Reading the PROXY header is aiosmtpd's; who may send one, and what it changes, is decided here.
"""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address

from aiosmtpd.proxy_protocol import AF, V2_CMD, get_proxy

from relay.dsn_options import decode_xtext
from relay.reply import PermanentError, Reply

XCLIENT_NAMES = ("NAME", "ADDR", "PORT", "PROTO", "HELO", "LOGIN", "DESTADDR", "DESTPORT")

_SYNTAX = Reply(501, "5.5.4", "bad XCLIENT parameters")
_NOT_SAID = frozenset(("", "[UNAVAILABLE]", "[TEMPUNAVAIL]"))


def plain_ip(host: str) -> str:
    """Return an address as it is compared everywhere: without zone, IPv4 even where a socket wrapped it in IPv6.

    >>> plain_ip("::ffff:192.0.2.7")
    '192.0.2.7'
    """
    if ":" not in host:
        return host
    address = ip_address(host.partition("%")[0])
    return str((isinstance(address, IPv6Address) and address.ipv4_mapped) or address)


def is_among(ip: str, networks: Sequence[IPv4Network | IPv6Network]) -> bool:
    """Tell whether an address lies in one of the networks."""
    if not networks or not ip:
        return False
    address = ip_address(ip)
    return any(address in network for network in networks)


def is_loopback(ip: str) -> bool:
    """Tell whether a client is on this machine."""
    try:
        return ip_address(plain_ip(ip)).is_loopback
    except ValueError:  # no peer name: the client has left already
        return False


async def proxied_ip(reader: asyncio.StreamReader, balancer: str) -> str | None:
    """Read a PROXY header; return the client's address, the balancer's own for its health checks, None for nonsense.

    Raises ConnectionResetError when the balancer leaves before its end.
    """
    try:
        said = await get_proxy(reader)
    except asyncio.IncompleteReadError as error:
        raise ConnectionResetError("the balancer left before its PROXY header") from error
    if not said.valid:
        return None
    if said.command == V2_CMD.LOCAL or said.family == AF.UNSPEC:
        return balancer  # LOCAL and UNKNOWN: the connection is the balancer's own
    if said.family not in (AF.INET, AF.INET6):
        return None
    return plain_ip(str(said.src_addr))


@dataclass(frozen=True, slots=True)
class Client:
    """What XCLIENT says; None: nothing said about it."""

    ip: str | None = None
    helo: str | None = None
    login: str | None = None


def parse_xclient(words: Iterable[str]) -> Client:
    """Read XCLIENT's attributes (Postfix's XCLIENT_README). Raises PermanentError."""
    said: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or name.upper() not in XCLIENT_NAMES:
            raise PermanentError(_SYNTAX)
        said[name.upper()] = decode_xtext(value)
    if not said:
        raise PermanentError(_SYNTAX)
    known = {name: value for name, value in said.items() if value.upper() not in _NOT_SAID}
    try:
        ip = plain_ip(str(ip_address(known["ADDR"].removeprefix("IPV6:").removeprefix("IPv6:"))))
    except KeyError:
        ip = None
    except ValueError:
        raise PermanentError(_SYNTAX) from None
    return Client(ip, known.get("HELO"), known.get("LOGIN"))
