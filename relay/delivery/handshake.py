"""From a host's address to a connection that is ready for mail: connect, greeting, EHLO, STARTTLS, AUTH."""

import asyncio
import base64
import contextlib
import ipaddress
import logging
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto

from relay.clock import Clock
from relay.delivery.client import Connection
from relay.delivery.replies import Category, OwnReply, classify, parse_reply
from relay.delivery.routing.destinations import Host
from relay.delivery.routing.routes import Target
from relay.delivery.tls.certificates import Contexts
from relay.delivery.tls.dane import mismatch
from relay.delivery.tls.memory import BrokenTls
from relay.delivery.tls.policy import Check, Demand
from relay.delivery.wire import Deadlines, LostConnection
from relay.reply import Reply
from relay.settings import Delivery

_log = logging.getLogger("mailweir.delivery")

_IDLE_SECONDS = 2.0
_SPARE_SECONDS = (
    5.0  # to connect where another address of the host follows: mostly IPv4 behind an IPv6 that leads nowhere
)
_TRIAL_SECONDS = 3600.0  # a host that would fail a policy in testing is told once in that time
_MEMORY = 10_000


class Unreachable(Exception):
    """The host takes no mail from us now; a retry may help. `is_connected`: it answered, so it is alive; `peer` is what
    it said, if it said something."""

    def __init__(self, reply: OwnReply, *, is_connected: bool, peer: Reply | None = None) -> None:
        super().__init__(str(reply))
        self.reply, self.is_connected, self.peer = reply, is_connected, peer


class _TlsFailed(Exception):
    """STARTTLS did not work. `is_broken`: the handshake failed, so it is useless to try again soon."""

    def __init__(self, why: str, *, is_broken: bool) -> None:
        super().__init__(why)
        self.is_broken = is_broken


class _How(Enum):
    """One way to try."""

    CHECKED = auto()  # in TLS, with a certificate that somebody asks for
    ANY = auto()  # in TLS where it is offered, with any certificate
    CLEAR = auto()


@dataclass(frozen=True, slots=True)
class Manners:
    """How we meet the hosts of one destination."""

    hostname: str
    tls: str  # opportunistic, required, none
    user: str = ""
    password: str = field(default="", repr=False)
    is_verified: bool = False
    address: str = ""  # ours; "": the system chooses
    max_parcels: int = 100


def manners_towards(target: Target, settings: Delivery, hostname: str, tls: str = "") -> Manners:
    """Return the manners of a destination; `tls`: what its provider asks for, "" for nothing special."""
    wanted = target.tls or tls or settings.tls
    limit = settings.messages_per_connection
    if target.mode == "sink":
        return Manners(hostname, "none", max_parcels=limit)
    # a smarthost is one host that somebody chose and may be given a password: required means the right one
    is_verified = wanted == "verified" or (wanted == "required" and (target.is_smarthost or bool(target.user)))
    wanted = "required" if wanted == "verified" else wanted
    return Manners(hostname, wanted, target.user, target.password, is_verified, max_parcels=limit)


class Handshake:
    """Opens connections; remembers which hosts have broken TLS."""

    def __init__(self, settings: Delivery, clock: Clock, broken: BrokenTls | None = None) -> None:
        """Raises SettingsError when delivery.ca_file holds no certificates."""
        self._settings, self._clock = settings, clock
        self._broken = broken or BrokenTls()
        self._trials: dict[str, float] = {}
        self._contexts = Contexts(settings.ca_file)
        self.on_tls_failure: Callable[[str], None] = lambda _policy: None

    def take_up(self, settings: Delivery) -> None:
        self._settings = settings

    async def open(self, host: Host, manners: Manners) -> Connection:
        """Return a connection that has said EHLO, in TLS where policy and host allow. Raises Unreachable."""
        demand = host.demand
        if demand is not None and not demand.is_binding and self._trials.get(host.key, 0.0) <= self._clock.unix():
            try:
                return await self._attempt(host, manners, _How.CHECKED)
            except _TlsFailed as error:
                self._note_trial(host, demand, error)
        if manners.tls == "required" or (demand is not None and demand.is_binding):
            return await self._open_in_tls(host, manners)
        return await self._open_if_possible(host, manners)

    async def _open_in_tls(self, host: Host, manners: Manners) -> Connection:
        is_checked = manners.is_verified or (host.demand is not None and host.demand.is_binding)
        try:
            return await self._attempt(host, manners, _How.CHECKED if is_checked else _How.ANY)
        except _TlsFailed as error:
            who = str(host.demand) if host.demand is not None and host.demand.is_binding else "delivery"
            text = f"{host.name}: {who} asks for TLS, but {error}"
            if host.demand is not None:
                self.on_tls_failure(host.demand.check.value)
            _log.warning("tls failed, mail waits host=%s[%s] asked_by=%s why=%s", host.name, host.address, who, error)
            raise Unreachable(OwnReply(451, "4.7.5", text, Category.BAD_CONNECTION), is_connected=True) from error

    async def _open_if_possible(self, host: Host, manners: Manners) -> Connection:
        if manners.tls == "opportunistic" and not self._broken.is_broken(host.key, self._clock.unix()):
            try:
                return await self._attempt(host, manners, _How.ANY)
            except _TlsFailed as error:
                if error.is_broken:
                    self._broken.note(host.key, self._clock.unix())
                _log.info("tls failed, going on without host=%s why=%s", host.name, error)
        return await self._attempt(host, manners, _How.CLEAR)

    def _note_trial(self, host: Host, demand: Demand, error: _TlsFailed) -> None:
        if len(self._trials) >= _MEMORY:
            self._trials.clear()
        self._trials[host.key] = self._clock.unix() + _TRIAL_SECONDS
        self.on_tls_failure(demand.check.value)
        _log.warning("tls would fail, policy is in testing host=%s asked_by=%s why=%s", host.name, demand, error)

    async def _attempt(self, host: Host, manners: Manners, how: _How) -> Connection:
        connection = await self._connected(host, manners)
        try:
            await self._greet(connection, host, manners, how)
        except LostConnection as error:
            connection.abort()
            reply = error.reply
            text = f"{host.name}: {reply.text}"
            category = reply.category if isinstance(reply, OwnReply) else Category.BAD_CONNECTION
            raise Unreachable(OwnReply(451, reply.enhanced, text, category), is_connected=True) from error
        except BaseException:
            connection.abort()
            raise
        return connection

    async def _connected(self, host: Host, manners: Manners) -> Connection:
        loop = asyncio.get_running_loop()
        family = socket.AF_INET6 if ":" in host.address else socket.AF_INET
        # proto must be IPPROTO_TCP: otherwise asyncio leaves Nagle's algorithm on
        sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        try:
            sock.setblocking(False)
            if manners.address:
                sock.bind((manners.address, 0))
            limit = Deadlines.of(self._settings.timeout_seconds).connect
            async with asyncio.timeout(min(limit, _SPARE_SECONDS) if host.has_spare else limit):
                await loop.sock_connect(sock, (host.address, host.port))
        except OSError as error:  # TimeoutError is one
            sock.close()
            why = "timed out" if isinstance(error, TimeoutError) else (error.strerror or "failed").lower()
            text = f"connect to {host.name}[{host.address}]:{host.port}: {why}"
            raise Unreachable(OwnReply(451, "4.4.1", text, Category.NO_ANSWER), is_connected=False) from error
        except asyncio.CancelledError:
            sock.close()
            raise
        _, connection = await loop.create_connection(lambda: self._made(manners), sock=sock)
        connection.remote = f"{host.name}[{host.address}]:{host.port}"
        connection.source = sock.getsockname()[0]
        return connection

    def _made(self, manners: Manners) -> Connection:
        deadlines = Deadlines.of(self._settings.timeout_seconds)
        return Connection(deadlines=deadlines, idle_seconds=_IDLE_SECONDS, max_parcels=manners.max_parcels)

    async def _greet(self, connection: Connection, host: Host, manners: Manners, how: _How) -> None:
        greeting = await connection.greeting()
        if greeting[:3] != b"220":
            raise _refused(host, "connection", greeting)
        await _say_hello(connection, host, manners.hostname)
        if how is not _How.CLEAR and "STARTTLS" in connection.extensions:
            await self._start_tls(connection, host, how)
            await _say_hello(connection, host, manners.hostname)
        elif how is _How.CHECKED or manners.tls == "required":
            raise _TlsFailed("it is not offered", is_broken=False)
        if manners.user:
            await _authenticate(connection, host, manners)

    async def _start_tls(self, connection: Connection, host: Host, how: _How) -> None:
        is_dane = host.demand is not None and host.demand.check is Check.DANE
        is_verified = how is _How.CHECKED and not is_dane
        try:
            reply = await connection.ask(b"STARTTLS\r\n")
        except LostConnection as error:
            raise _TlsFailed("the connection was cut at STARTTLS", is_broken=True) from error
        if reply[:3] != b"220":
            raise _TlsFailed(f"STARTTLS was answered {reply[:3].decode('ascii', 'replace')}", is_broken=False)
        try:
            # the name is said where it decides (RFC 8461 section 4.1, RFC 7672 section 8.1)
            name = host.name if how is _How.CHECKED else ""
            await connection.start_tls(self._contexts.of(is_verified=is_verified), name)
        except (OSError, LostConnection, UnicodeError) as error:  # UnicodeError: a name that TLS cannot say
            why = getattr(error, "verify_message", "") or str(error)
            raise _TlsFailed(f"the handshake failed: {why}", is_broken=True) from error
        if is_dane and how is _How.CHECKED:
            self._check_tlsa(connection, host)
        if how is _How.CHECKED:
            connection.tls += f" ({host.demand.check.value if host.demand else 'verified'})"

    def _check_tlsa(self, connection: Connection, host: Host) -> None:
        assert host.demand is not None
        if not host.demand.records:
            return
        names = [host.name, *filter(None, [host.demand.domain])]
        why = mismatch(host.demand.records, connection.peer_chain(), names, self._clock.now())
        if why:
            raise _TlsFailed(why, is_broken=False)


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
    ours = OwnReply(451, "4.3.2", f"{host.name} refused our {what}: {reply}", category)
    return Unreachable(ours, is_connected=True, peer=reply if reply.code else None)
