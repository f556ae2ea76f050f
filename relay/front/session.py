"""One SMTP session: aiosmtpd's state machine with our reader, our replies and our accounts.

Sender refusals come at MAIL, RCPT or DATA, never at connect, EHLO or AUTH: those are host errors, and a panel would
stop the whole server's mail for them. Never logs per command; never echoes input.
"""

import asyncio
import logging
import re
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol, Self

import aiosmtpd.smtp
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

from relay.clock import Clock
from relay.envelope import Account, Submission
from relay.front.address import decode_xtext, parse_path
from relay.front.auth import Authenticator, Locked
from relay.front.data import canonical, read_data
from relay.reply import PermanentError, RelayError, Reply
from relay.settings import Smtp

_log = logging.getLogger("mailweir.front")

# aiosmtpd cleans every command line for a log that is switched off, by a regular expression, twice
aiosmtpd.smtp.sanitized_log = lambda *_args, **_kwargs: None

_READER_LIMIT = 65_536
_MAIL_PARAMETERS = {"SIZE", "BODY", "SMTPUTF8", "AUTH"}
_LOOPBACK = ("127.", "::1")

_AUTH_NEEDED = Reply(530, "5.7.0", "authentication required")
_NO_RELAY = Reply(550, "5.7.1", "[AUTH] relaying denied")
_TOO_BIG = Reply(552, "5.3.4", "message too big")
_TRY_LATER = Reply(451, "4.3.0", "internal error, try again later")
CLOSING = Reply(421, "4.3.2", "service shutting down, try again later")
_BUSY = Reply(421, "4.7.0", "too many connections from your address")


@dataclass(frozen=True, slots=True)
class Doorway:
    """What every session of this relay shares."""

    settings: Smtp
    hostname: str
    clock: Clock
    tls: ssl.SSLContext
    authenticator: Authenticator
    account_of_ip: Callable[[str], Account | None]
    account_of_name: Callable[[str], Account | None]
    receive: Callable[[Submission], Awaitable[Reply]]
    on_auth_failure: Callable[[str, bytes, str], None]


class House(Protocol):
    """Who counts the sessions (front/server.py)."""

    is_closing: bool

    def enter(self, door: "Door") -> bool:
        """Tell whether one more session is welcome."""
        ...

    def leave(self, door: "Door") -> None:
        """Note that a session is over."""
        ...


class Door(SMTP):
    """One SMTP session."""

    way: Doorway
    ip: str
    _doors: House
    _account: Account | None
    _credential: str
    _given: LoginPassword | None
    _replies: list[bytes]
    _auth_param: str
    _is_8bit: bool
    is_in_transaction: bool

    def serve(self, way: Doorway, doors: House) -> None:
        """Make this session the template of all others."""
        self.way, self._doors = way, doors
        for unwanted in ("HELP", "VRFY", "EXPN"):
            self._smtp_methods.pop(unwanted, None)
        # aiosmtpd's own limit of 512 bytes a command is too short for what we announce
        self.command_size_limits["MAIL"] = self.command_size_limits["RCPT"] = 2048
        self.command_size_limits["AUTH"] = 12_288  # RFC 4954 section 4.5

    def cloned(self) -> Self:
        """A fresh session from this template: SMTP.__init__ inspects every member, 0.1 ms a connection."""
        door = type(self).__new__(type(self))
        door.__dict__.update(self.__dict__)
        reader = asyncio.StreamReader(loop=self.loop, limit=_READER_LIMIT)
        asyncio.StreamReaderProtocol.__init__(door, reader, door._cb_client_connected, loop=self.loop)
        # these hold methods bound to the template: its replies would go to the first connection
        door._smtp_methods = {name: getattr(door, "smtp_" + name) for name in self._smtp_methods}
        door._account, door._credential, door._given = None, "", None
        door._replies, door.is_in_transaction = [], False
        return door

    # ---- connection ----

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        is_new = self._original_transport is None
        super().connection_made(transport)
        if is_new:
            peer = transport.get_extra_info("peername")
            self.ip = peer[0] if peer else ""
            if not self._doors.enter(self):
                assert isinstance(transport, asyncio.WriteTransport)
                transport.write(f"{_BUSY}\r\n".encode())
                transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        self._doors.leave(self)
        super().connection_lost(error)

    def close_with(self, reply: Reply) -> None:
        """Say goodbye now; for sessions without a transaction."""
        if isinstance(self.transport, asyncio.WriteTransport) and not self.transport.is_closing():
            self.transport.write(f"{reply}\r\n".encode())
            self.transport.close()

    async def handle_exception(self, error: Exception) -> str:
        _log.exception("session failed client=%s", self.ip, exc_info=error)
        return str(_TRY_LATER)

    # ---- replies ----

    async def push(self, status: str | bytes) -> None:
        """Write a reply, behind those that wait."""
        text = status if isinstance(status, str) else status.decode()
        self._replies.append(_with_enhanced_code(text).encode() + b"\r\n")
        await self._flush()

    async def _flush(self) -> None:
        assert isinstance(self.transport, asyncio.WriteTransport)
        self.transport.write(b"".join(self._replies))
        self._replies.clear()
        if self.transport.get_write_buffer_size():
            await self._writer.drain()  # a client that pipelines and never reads is held back here

    async def _answer(self, reply: Reply | str) -> None:
        """Reply within a pipelined group: written when no further complete command waits (RFC 2920 section 3.2)."""
        self._replies.append(f"{reply}\r\n".encode())
        if b"\n" not in self._reader._buffer:  # type: ignore[attr-defined]
            await self._flush()

    # ---- commands ----

    async def smtp_EHLO(self, hostname: str | None) -> None:
        if not hostname:
            await self.push("501 5.5.4 EHLO needs a name")
            return
        self._set_rset_state()  # type: ignore[no-untyped-call]
        assert self.session is not None
        self.session.extended_smtp, self.session.host_name = True, hostname[:255]
        size = self.way.settings.max_size_bytes
        lines = [self.way.hostname, "PIPELINING", f"SIZE {size}", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES"]
        if not self._tls_protocol:
            lines.append("STARTTLS")
        if self._may_authenticate():
            lines.append("AUTH PLAIN LOGIN")
        await self.push("\r\n".join([*(f"250-{line}" for line in lines[:-1]), f"250 {lines[-1]}"]))

    async def smtp_AUTH(self, arg: str | None) -> None:
        assert self.session is not None
        if not self.session.extended_smtp:
            await self.push("503 5.5.1 send EHLO first")
        elif self.session.authenticated:
            await self.push("503 5.5.1 already authenticated")
        elif not self._may_authenticate():
            await self.push("538 5.7.11 encryption required for authentication")
        else:
            await self._authenticate_by((arg or "").split())

    async def _authenticate_by(self, words: list[str]) -> None:
        if not words or len(words) > 2:
            await self.push("501 5.5.4 syntax: AUTH mechanism [initial-response]")
            return
        mechanism = words[0].upper()
        methods = {"PLAIN": self.auth_PLAIN, "LOGIN": self.auth_LOGIN}
        if mechanism not in methods:
            await self.push("504 5.5.4 unrecognized authentication type")
            return
        self._given = None
        initial = ["", ""] if words[1:] == ["="] else words[1:]  # "=" is an empty initial response (RFC 4954 4)
        await methods[mechanism](None, [mechanism, *initial[:1]])
        if self._given is not None:  # otherwise the library has answered already (501)
            await self._log_in(mechanism, self._given)

    def _authenticate(self, mechanism: str, auth_data: LoginPassword) -> AuthResult:
        # Called by aiosmtpd when it has login and password; argon2 must not run here, on the loop.
        self._given = auth_data
        return AuthResult(success=False, handled=True)

    async def _log_in(self, mechanism: str, given: LoginPassword) -> None:
        assert self.session is not None
        found = await self.way.authenticator.check(given.login, given.password, self.ip)
        account = None if found is None or isinstance(found, Locked) else self.way.account_of_name(found.account)
        if isinstance(found, Locked):
            await self.push("454 4.7.0 too many failures, try again later")
        elif account is None or found is None:
            self.way.on_auth_failure(self.ip, given.login, mechanism)
            await self.push("535 5.7.8 authentication credentials invalid")
        else:
            self.session.authenticated = True
            self._account, self._credential = account, found.login
            await self.push("235 2.7.0 authentication successful")

    def _may_authenticate(self) -> bool:
        return bool(self._tls_protocol) or (self.way.settings.auth_without_tls and self.ip.startswith(_LOOPBACK))

    async def smtp_MAIL(self, arg: str | None) -> None:
        try:
            self._begin(arg or "")
        except RelayError as error:
            await self._answer(error.reply)
        else:
            await self._answer("250 2.1.0 sender ok")

    def _begin(self, arg: str) -> None:
        assert self.session is not None
        assert self.envelope is not None
        if not self.session.host_name:
            raise PermanentError(Reply(503, "5.5.1", "send EHLO first"))
        if self.envelope.mail_from is not None:
            raise PermanentError(Reply(503, "5.5.1", "nested MAIL command"))
        if self._sender_account() is None:
            raise PermanentError(_AUTH_NEEDED)
        address, parameters = parse_path(_strip(arg, "FROM:"), may_be_empty=True)
        if parameters.keys() - _MAIL_PARAMETERS:
            raise PermanentError(Reply(555, "5.5.4", "MAIL parameter not recognized"))
        self._check_mail_parameters(address, parameters)
        self.envelope.mail_from = address
        self.envelope.smtp_utf8 = "SMTPUTF8" in parameters
        self._is_8bit = parameters.get("BODY", "").upper() == "8BITMIME"
        auth = decode_xtext(parameters.get("AUTH", ""))
        self._auth_param = "" if auth == "<>" else auth
        self.is_in_transaction = True

    def _check_mail_parameters(self, address: str, parameters: dict[str, str]) -> None:
        size = parameters.get("SIZE", "0")
        if not size.isdigit() or parameters.get("BODY", "7BIT").upper() not in ("7BIT", "8BITMIME"):
            raise PermanentError(Reply(501, "5.5.4", "bad SIZE or BODY parameter"))
        if int(size) > self.way.settings.max_size_bytes:
            raise PermanentError(_TOO_BIG)
        _check_ascii(address, is_smtputf8="SMTPUTF8" in parameters)

    async def smtp_RCPT(self, arg: str | None) -> None:
        try:
            self._add_recipient(arg or "")
        except RelayError as error:
            await self._answer(error.reply)
        else:
            await self._answer("250 2.1.5 recipient ok")

    def _add_recipient(self, arg: str) -> None:
        assert self.envelope is not None
        if self.envelope.mail_from is None:
            # without an account this is a relay attempt, whatever was refused before
            raise PermanentError(Reply(503, "5.5.1", "need MAIL command") if self._sender_account() else _NO_RELAY)
        if len(self.envelope.rcpt_tos) >= self.way.settings.max_recipients:
            raise RelayError(Reply(452, "4.5.3", "too many recipients"))
        address, parameters = parse_path(_strip(arg, "TO:"), may_be_empty=False)
        if parameters:
            raise PermanentError(Reply(555, "5.5.4", "RCPT parameter not recognized"))
        _check_ascii(address, is_smtputf8=self.envelope.smtp_utf8)
        if address not in self.envelope.rcpt_tos:
            self.envelope.rcpt_tos.append(address)

    async def smtp_RSET(self, arg: str | None) -> None:
        self._set_rset_state()  # type: ignore[no-untyped-call]
        await self._answer("250 2.0.0 ok")

    def _set_post_data_state(self) -> None:
        super()._set_post_data_state()  # type: ignore[no-untyped-call]
        self.is_in_transaction = False

    async def smtp_DATA(self, arg: str | None) -> None:
        assert self.envelope is not None
        if arg:
            await self._answer("501 5.5.4 DATA takes no argument")
            return
        if not self.envelope.rcpt_tos:
            is_open = self.envelope.mail_from is not None
            await self._answer("554 5.5.1 no valid recipients" if is_open else "503 5.5.1 need RCPT command")
            return
        await self.push("354 end with <CR><LF>.<CR><LF>")
        raw = await read_data(self._reader, self.way.settings.max_size_bytes)
        self._reset_timeout()
        try:
            reply = await self._receive(raw)
        finally:
            self._set_post_data_state()
        await self._answer(reply)
        if self._doors.is_closing:
            self.close_with(CLOSING)

    async def _receive(self, raw: bytes | None) -> Reply:
        try:
            if raw is None:
                return _TOO_BIG
            return await self.way.receive(self._submission(canonical(raw)))
        except RelayError as error:
            return error.reply
        except Exception:
            # one broken message must not end the session; unknown means transient
            _log.exception("reception failed client=%s", self.ip)
            return _TRY_LATER

    def _submission(self, content: bytes) -> Submission:
        assert self.envelope is not None
        assert self.session is not None
        account = self._sender_account()
        if account is None:
            raise PermanentError(_AUTH_NEEDED)  # revoked during the transaction
        return Submission(
            account=account,
            credential=self._credential or f"network {self.ip}",
            client_ip=self.ip,
            helo=self.session.host_name or "",
            tls=_tls_name(self.session.ssl),
            door="smtp",
            mail_from=self.envelope.mail_from or "",
            recipients=tuple(self.envelope.rcpt_tos),
            content=content,
            received_at=self.way.clock.now(),
            auth_param=self._auth_param,
            is_8bit=self._is_8bit,
            is_smtputf8=self.envelope.smtp_utf8,
        )

    def _sender_account(self) -> Account | None:
        if self._account is not None:
            return self.way.account_of_name(self._account.name)  # as it is now, not as it was at login
        return self.way.account_of_ip(self.ip)


def _strip(arg: str, keyword: str) -> str:
    if arg[: len(keyword)].upper() != keyword:
        raise PermanentError(Reply(501, "5.5.4", f"syntax: {keyword}<address>"))
    return arg[len(keyword) :].strip()


def _check_ascii(address: str, *, is_smtputf8: bool) -> None:
    if address.isascii():
        return
    try:
        address.encode()
    except UnicodeEncodeError:
        raise PermanentError(Reply(553, "5.6.7", "address is not UTF-8")) from None
    if not is_smtputf8:
        raise PermanentError(Reply(553, "5.6.7", "non-ASCII address without SMTPUTF8"))


def _tls_name(extra: dict[str, Any] | None) -> str:
    cipher = extra.get("cipher") if extra else None
    return f"{cipher[1]} {cipher[0]}" if cipher else ""


_BARE_ERROR = re.compile(r"([45])(\d\d) (?!\d\.\d)")


def _with_enhanced_code(text: str) -> str:
    """aiosmtpd's own errors carry no enhanced code and some echo input: replace their text."""
    bare = _BARE_ERROR.match(text)
    return f"{bare[1]}{bare[2]} {bare[1]}.5.2 syntax error or unknown command" if bare else text
