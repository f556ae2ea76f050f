"""One SMTP session: aiosmtpd's state machine with our reader, our replies and our accounts.

Sender refusals come at MAIL, RCPT or DATA, never at connect, EHLO or AUTH: those are host errors, and a panel would
stop the whole server's mail for them. Never logs per command; never echoes input.
"""

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, Protocol, Self

from aiosmtpd.smtp import AuthResult, LoginPassword

from relay.admission import Admission
from relay.clock import Clock
from relay.envelope import Account, Submission
from relay.front.address import decode_xtext, parse_path
from relay.front.auth import Authenticator, Locked
from relay.front.conversation import TRY_LATER, Conversation
from relay.front.data import canonical, read_data
from relay.reply import PermanentError, RelayError, Reply
from relay.settings import Smtp

_log = logging.getLogger("mailweir.front")

_MAIL_PARAMETERS = {"SIZE", "BODY", "SMTPUTF8", "AUTH"}
_RECORDED_REFUSALS = 100  # of one session; the rest is only counted

_AUTH_NEEDED = Reply(530, "5.7.0", "authentication required")
_NO_RELAY = Reply(550, "5.7.1", "[AUTH] relaying denied")
_TOO_BIG = Reply(552, "5.3.4", "message too big")
CLOSING = Reply(421, "4.3.2", "service shutting down, try again later")


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
    on_refusal: Callable[[str, Reply, Submission | None], None]  # stage; None: not worth a record
    on_auth_failure: Callable[[str, bytes, str], None]
    admit: Callable[[Submission], Admission] | None = None  # None: no limits at RCPT


class House(Protocol):
    """Who counts the sessions (front/server.py)."""

    is_closing: bool

    def enter(self, door: "Door") -> Reply | None:
        """Note a session; return why it is not welcome, if so."""
        ...

    def leave(self, door: "Door") -> None:
        """Note that a session is over."""
        ...


class Door(Conversation):
    """One SMTP session."""

    way: Doorway
    _doors: House
    _account: Account | None
    _credential: str
    _given: LoginPassword | None
    _refusals: int
    _auth_param: str
    _is_8bit: bool
    is_in_transaction: bool
    _admission: Admission | None = None

    def serve(self, way: Doorway, doors: House) -> None:
        """Make this session the template of all others."""
        self.way, self._doors = way, doors
        for unwanted in ("HELP", "VRFY", "EXPN"):
            self._smtp_methods.pop(unwanted, None)
        # aiosmtpd's own limit of 512 bytes a command is too short for what we announce
        self.command_size_limits["MAIL"] = self.command_size_limits["RCPT"] = 2048
        self.command_size_limits["AUTH"] = 12_288  # RFC 4954 section 4.5

    def cloned(self) -> Self:
        door = super().cloned()
        door._account, door._credential, door._given = None, "", None
        door._refusals, door.is_in_transaction = 0, False
        door._auth_param, door._is_8bit = "", False
        return door

    # ---- connection ----

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        is_new = self._original_transport is None
        super().connection_made(transport)
        if not is_new:
            # TLS begins: forget what was said in clear text (RFC 3207 section 4.2)
            self._account, self._credential = None, ""
            return
        peer = transport.get_extra_info("peername")
        self.ip = peer[0] if peer else ""
        if unwelcome := self._doors.enter(self):
            self.close_with(unwelcome)

    def connection_lost(self, error: Exception | None) -> None:
        self._doors.leave(self)
        self._end_admission()
        super().connection_lost(error)

    # ---- commands ----

    async def smtp_EHLO(self, hostname: str | None) -> None:
        if not hostname:
            await self.push("501 5.5.4 EHLO needs a name")
            return
        self._set_rset_state()  # type: ignore[no-untyped-call]
        assert self.session is not None
        self.session.extended_smtp = True
        # goes into records: bytes that are no UTF-8 would break their encoding
        self.session.host_name = hostname[:255].encode("utf-8", "replace").decode()
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
        elif self.session.authenticated or self.is_in_transaction:
            await self.push("503 5.5.1 already authenticated or in a transaction")  # RFC 4954 section 4
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
        return bool(self._tls_protocol) or (self.way.settings.auth_without_tls and _is_loopback(self.ip))

    async def smtp_MAIL(self, arg: str | None) -> None:
        try:
            self._begin(arg or "")
        except RelayError as error:
            self._note("mail", error.reply)
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
        if not (size.isascii() and size.isdigit()) or parameters.get("BODY", "7BIT").upper() not in (
            "7BIT",
            "8BITMIME",
        ):
            raise PermanentError(Reply(501, "5.5.4", "bad SIZE or BODY parameter"))
        if int(size) > self.way.settings.max_size_bytes:
            raise PermanentError(_TOO_BIG)
        _check_ascii(address, is_smtputf8="SMTPUTF8" in parameters)

    async def smtp_RCPT(self, arg: str | None) -> None:
        try:
            self._add_recipient(arg or "")
        except RelayError as error:
            self._note("rcpt", error.reply)
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
            self._reserve(address)
            self.envelope.rcpt_tos.append(address)

    def _reserve(self, recipient: str) -> None:
        if self._admission is None and self.way.admit is not None:
            self._admission = self.way.admit(self._submission(b""))
        if self._admission is not None:
            self._admission.add(recipient)

    def _end_admission(self) -> None:
        if self._admission is not None:
            self._admission.close()
            self._admission = None

    async def smtp_RSET(self, arg: str | None) -> None:
        self._set_rset_state()  # type: ignore[no-untyped-call]
        await self._answer("250 2.0.0 ok")

    def _set_post_data_state(self) -> None:
        super()._set_post_data_state()  # type: ignore[no-untyped-call]
        self._end_admission()
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
        raw = await read_data(self._reader, self.way.settings.max_size_bytes, self._reset_timeout)
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
                raise PermanentError(_TOO_BIG)
            submission = self._submission(canonical(raw))
        except RelayError as error:
            self._note("data", error.reply)
            return error.reply
        try:
            return await self.way.receive(submission)
        except RelayError as error:
            return error.reply
        except Exception:
            # one broken message must not end the session; unknown means transient
            _log.exception("reception failed client=%s", self.ip)
            self.way.on_refusal("data", TRY_LATER, None)
            return TRY_LATER

    def _note(self, stage: str, reply: Reply) -> None:
        """Tell of a refusal. Strangers are only counted, or they could fill the journal."""
        self._refusals += 1
        is_known = self._refusals <= _RECORDED_REFUSALS and self._sender_account() is not None
        self.way.on_refusal(stage, reply, self._submission(b"") if is_known else None)

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
            admission=self._admission,
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


def _is_loopback(ip: str) -> bool:
    try:
        address = ip_address(ip)
    except ValueError:  # no peer name: the client has left already
        return False
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback
