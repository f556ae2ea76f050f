"""Who sends an HTTP request: its address and its account. A login is always needed, from an allowed network too.

An allowed network is a mail server's; a web server in the same network would let every page it shows submit mail.
"""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from ipaddress import IPv4Network, IPv6Network, ip_address

from starlette.requests import Request

from relay.account import Account
from relay.front.auth import Locked
from relay.front.bearer import login_of
from relay.front.doorway import Doorway
from relay.front.proxied import is_loopback
from relay.front.web.answers import WebRefusal
from relay.reply import Reply

_HEADER_MAX = 4096  # a login of 255 bytes and a password of 1,024, in base64
_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="mailweir", Basic realm="mailweir", charset="UTF-8"'}
_NEEDED = Reply(530, "5.7.0", "authentication required")
_WRONG = Reply(535, "5.7.8", "authentication credentials invalid")
_LOCKED = Reply(454, "4.7.0", "too many failures, try again later")
_CLEAR_TEXT = Reply(538, "5.7.11", "encryption required for authentication")

Networks = Sequence[IPv4Network | IPv6Network]


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sends a request, proven."""

    account: Account
    login: str
    client_ip: str
    tls: str


async def authenticate(request: Request, way: Doorway, proxies: Networks) -> Caller:
    """Return the caller. Raises WebRefusal: 401, 403 in clear text, 429 for who guessed too often."""
    client_ip = client_address(request, proxies)
    _require_privacy(request, proxies)
    mechanism, login, password = _given(request.headers.get("authorization", ""))
    found = await way.authenticator.check(login, password, client_ip)
    if isinstance(found, Locked):
        wait = max(int(found.until_unix - way.clock.unix()) + 1, 1)
        raise WebRefusal(HTTPStatus.TOO_MANY_REQUESTS, _LOCKED, {"Retry-After": str(wait)})
    account = None if found is None else way.account_of_name(found.account)
    if found is None or account is None:
        way.on_auth_failure(client_ip, login, mechanism)
        raise WebRefusal(HTTPStatus.UNAUTHORIZED, _WRONG, _CHALLENGE)
    return Caller(account, found.login, client_ip, "HTTPS" if request.scope["scheme"] == "https" else "")


def client_address(request: Request, proxies: Networks) -> str:
    """Return the peer's address; behind a trusted proxy the last hop it names, which is the one it saw itself."""
    peer = request.client.host if request.client else ""
    if not is_within(peer, proxies):
        return peer
    hops = request.headers.getlist("x-forwarded-for")
    last = hops[-1].rpartition(",")[2].strip() if hops else ""
    try:
        return str(ip_address(last))
    except ValueError:
        return peer


def is_within(peer: str, networks: Networks) -> bool:
    """Tell whether an address lies in one of these networks."""
    if not networks or not peer:
        return False
    address = ip_address(peer.partition("%")[0])
    address = getattr(address, "ipv4_mapped", None) or address
    return any(address in network for network in networks)


def _require_privacy(request: Request, proxies: Networks) -> None:
    """Refuse a password that crossed a network in clear text, as SMTP does. A trusted proxy is believed."""
    if request.scope["scheme"] == "https":
        return
    peer = request.client.host if request.client else ""
    is_proxy = is_within(peer, proxies)
    said = request.headers.get("x-forwarded-proto", "").lower() if is_proxy else ""
    if said:
        is_private = said == "https" or is_loopback(client_address(request, proxies))
    else:
        is_private = is_proxy or is_loopback(peer)
    if not is_private:
        raise WebRefusal(HTTPStatus.FORBIDDEN, _CLEAR_TEXT)


def _given(header: str) -> tuple[str, bytes, bytes]:
    """Return mechanism, login and password. Raises WebRefusal for what is neither Bearer nor Basic."""
    scheme, _, value = header.strip().partition(" ")
    given = None
    if len(header) <= _HEADER_MAX:
        match scheme.lower():
            case "bearer":
                given = login_of(value.strip())
            case "basic":
                given = _basic(value.strip())
    if given is None:
        raise WebRefusal(HTTPStatus.UNAUTHORIZED, _NEEDED, _CHALLENGE)
    return scheme.upper(), *given


def _basic(value: str) -> tuple[bytes, bytes] | None:
    try:
        login, colon, password = base64.b64decode(value, validate=True).partition(b":")
    except (binascii.Error, ValueError):
        return None
    return (login, password) if colon else None
