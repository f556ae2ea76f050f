"""From a host's address to a connection that is ready for mail: connect, greeting, EHLO, STARTTLS, AUTH."""

import asyncio
import base64
import contextlib
import ipaddress
import logging
import socket
import ssl
from dataclasses import dataclass, field

from relay.clock import Clock
from relay.delivery.client import Connection
from relay.delivery.destinations import Host
from relay.delivery.replies import Category, OwnReply, classify, parse_reply
from relay.delivery.routes import Target
from relay.delivery.wire import LostConnection
from relay.reply import Reply
from relay.settings import Delivery

_log = logging.getLogger("mailweir.delivery")

_CONNECT_SECONDS = 30.0
_IDLE_SECONDS = 2.0
_BROKEN_TLS_SECONDS = 3 * 86_400.0
_MEMORY = 10_000


class Unreachable(Exception):
    """The host takes no mail from us now; a retry may help. `is_connected`: it answered, so it is alive."""

    def __init__(self, reply: OwnReply, *, is_connected: bool) -> None:
        super().__init__(str(reply))
        self.reply, self.is_connected = reply, is_connected


class _TlsFailed(Exception):
    """STARTTLS did not work. `is_broken`: the handshake failed, so it is useless to try again soon."""

    def __init__(self, why: str, *, is_broken: bool) -> None:
        super().__init__(why)
        self.is_broken = is_broken


@dataclass(frozen=True, slots=True)
class Manners:
    """How we meet the hosts of one destination."""

    hostname: str
    tls: str  # opportunistic, required, none
    user: str = ""
    password: str = field(default="", repr=False)
    is_verified: bool = False


def manners_towards(target: Target, settings: Delivery, hostname: str, tls: str = "") -> Manners:
    """Return the manners of a destination; `tls`: what its provider asks for, "" for nothing special."""
    wanted = target.tls or tls or settings.tls
    if target.mode == "sink":
        return Manners(hostname, "none")
    # a smarthost is one host that somebody chose and may be given a password: required means the right one
    is_verified = wanted == "verified" or (wanted == "required" and (target.is_smarthost or bool(target.user)))
    wanted = "required" if wanted == "verified" else wanted
    return Manners(hostname, wanted, target.user, target.password, is_verified)


class Handshake:
    """Opens connections; remembers which hosts have broken TLS."""

    def __init__(self, settings: Delivery, clock: Clock) -> None:
        self._settings, self._clock = settings, clock
        self._broken_tls: dict[str, float] = {}
        self._contexts = {False: _context(is_verified=False)}

    def take_up(self, settings: Delivery) -> None:
        self._settings = settings

    async def open(self, host: Host, manners: Manners) -> Connection:
        """Return a connection that has said EHLO, in TLS where policy and host allow. Raises Unreachable."""
        wants_tls = manners.tls == "required" or (
            manners.tls == "opportunistic" and self._broken_tls.get(host.key, 0) <= self._clock.unix()
        )
        try:
            return await self._attempt(host, manners, wants_tls=wants_tls)
        except _TlsFailed as error:
            if manners.tls == "required":
                text = f"{host.name}: TLS is required, but {error}"
                raise Unreachable(OwnReply(451, "4.7.5", text, Category.BAD_CONNECTION), is_connected=True) from error
            if error.is_broken:
                self._remember(host)
            _log.info("tls failed, going on without host=%s why=%s", host.name, error)
            return await self._attempt(host, manners, wants_tls=False)

    def _remember(self, host: Host) -> None:
        if len(self._broken_tls) >= _MEMORY:
            self._broken_tls.clear()
        self._broken_tls[host.key] = self._clock.unix() + _BROKEN_TLS_SECONDS

    async def _attempt(self, host: Host, manners: Manners, *, wants_tls: bool) -> Connection:
        connection = await self._connected(host)
        try:
            await self._greet(connection, host, manners, wants_tls=wants_tls)
        except LostConnection as error:
            connection.abort()
            reply = error.reply
            text = f"{host.name}: {reply.text}"
            category = reply.category if isinstance(reply, OwnReply) else Category.BAD_CONNECTION
            raise Unreachable(OwnReply(451, reply.enhanced, text, category), is_connected=True) from error
        except (Unreachable, _TlsFailed, asyncio.CancelledError):
            connection.abort()
            raise
        return connection

    async def _connected(self, host: Host) -> Connection:
        loop = asyncio.get_running_loop()
        family = socket.AF_INET6 if ":" in host.address else socket.AF_INET
        # proto must be IPPROTO_TCP: otherwise asyncio leaves Nagle's algorithm on
        sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        try:
            sock.setblocking(False)
            async with asyncio.timeout(min(_CONNECT_SECONDS, self._settings.timeout_seconds)):
                await loop.sock_connect(sock, (host.address, host.port))
        except OSError as error:  # TimeoutError is one
            sock.close()
            why = "timed out" if isinstance(error, TimeoutError) else (error.strerror or "failed").lower()
            text = f"connect to {host.name}[{host.address}]:{host.port}: {why}"
            raise Unreachable(OwnReply(451, "4.4.1", text, Category.NO_ANSWER), is_connected=False) from error
        except asyncio.CancelledError:
            sock.close()
            raise
        _, connection = await loop.create_connection(self._made, sock=sock)
        connection.remote = f"{host.name}[{host.address}]:{host.port}"
        connection.source = sock.getsockname()[0]
        return connection

    def _made(self) -> Connection:
        timeout = self._settings.timeout_seconds
        limit = self._settings.messages_per_connection
        return Connection(timeout_seconds=timeout, idle_seconds=_IDLE_SECONDS, max_parcels=limit)

    async def _greet(self, connection: Connection, host: Host, manners: Manners, *, wants_tls: bool) -> None:
        greeting = await connection.greeting()
        if greeting[:3] != b"220":
            raise _refused(host, "connection", greeting)
        await _say_hello(connection, host, manners.hostname)
        offers_tls = "STARTTLS" in connection.extensions
        if wants_tls and offers_tls:
            await self._start_tls(connection, host, manners)
            await _say_hello(connection, host, manners.hostname)
        elif manners.tls == "required":
            raise _TlsFailed("it is not offered", is_broken=False)
        if manners.user:
            await _authenticate(connection, host, manners)

    async def _start_tls(self, connection: Connection, host: Host, manners: Manners) -> None:
        try:
            reply = await connection.ask(b"STARTTLS\r\n")
        except LostConnection as error:
            raise _TlsFailed("the connection was cut at STARTTLS", is_broken=True) from error
        if reply[:3] != b"220":
            raise _TlsFailed(f"STARTTLS was answered {reply[:3].decode('ascii', 'replace')}", is_broken=False)
        try:
            await connection.start_tls(self._context(manners.is_verified), host.name)
        except (OSError, LostConnection) as error:
            raise _TlsFailed(f"the handshake failed: {error}", is_broken=True) from error

    def _context(self, is_verified: bool) -> ssl.SSLContext:
        if is_verified not in self._contexts:
            self._contexts[is_verified] = _context(is_verified=is_verified)
        return self._contexts[is_verified]


def _context(*, is_verified: bool) -> ssl.SSLContext:
    """Opportunistic TLS takes any certificate: the alternative is clear text (RFC 7435)."""
    context = ssl.create_default_context()
    if not is_verified:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


async def _say_hello(connection: Connection, host: Host, hostname: str) -> None:
    name = hostname.encode("ascii", "replace")
    reply = await connection.ask(b"EHLO %b\r\n" % name)
    if reply[:1] == b"2":
        connection.extensions = _extensions(reply)
        return
    reply = await connection.ask(b"HELO %b\r\n" % name)
    if reply[:1] != b"2":
        raise _refused(host, "HELO", reply)
    connection.extensions = {}


def _extensions(reply: bytes) -> dict[str, str]:
    """Keyword, in capitals, to parameters."""
    found = {}
    for line in reply.split(b"\n")[1:]:
        keyword, _, parameters = line[4:].decode("ascii", "replace").strip().partition(" ")
        # "AUTH=PLAIN" is how some hops of the 1990s announce it
        keyword, parameters = (
            ("AUTH", f"{keyword[5:]} {parameters}") if keyword[:5] == "AUTH=" else (keyword, parameters)
        )
        found[keyword.upper()] = parameters.strip()
    return found


async def _authenticate(connection: Connection, host: Host, manners: Manners) -> None:
    if not connection.tls and manners.tls != "none" and not ipaddress.ip_address(host.address).is_loopback:
        text = f'{host.name}: no TLS, so the password is not sent; delivery.tls = "none" would send it in clear text'
        raise Unreachable(OwnReply(451, "4.7.11", text, Category.AUTHENTICATION_FAILED), is_connected=True)
    mechanisms = connection.extensions.get("AUTH", "").upper().split()
    user, password = manners.user.encode(), manners.password.encode()
    if "PLAIN" in mechanisms or "LOGIN" not in mechanisms:
        reply = await connection.ask(b"AUTH PLAIN %b\r\n" % base64.b64encode(b"\0%b\0%b" % (user, password)))
    else:
        reply = await connection.ask(b"AUTH LOGIN\r\n")
        for word in (user, password):
            if reply[:3] != b"334":
                break
            reply = await connection.ask(base64.b64encode(word) + b"\r\n")
    if reply[:3] != b"235":
        _log.error("login refused by the smarthost host=%s user=%s", host.name, manners.user)
        raise _refused(host, "login", reply, Category.AUTHENTICATION_FAILED)


def _refused(host: Host, what: str, raw: bytes, category: Category | None = None) -> Unreachable:
    """Whatever the code is, it is about the host, not about a mail: so it is tried again (RFC 5321 3.1, 4.2.1)."""
    reply = Reply(0, "", "nonsense")
    with contextlib.suppress(ValueError):
        reply = parse_reply(raw)
    category = category or classify(reply).category
    return Unreachable(OwnReply(451, "4.3.2", f"{host.name} refused our {what}: {reply}", category), is_connected=True)
