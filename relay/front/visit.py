"""Who is connected: the client behind a balancer, TLS, the login. What he does then is session.py's.

Sender refusals never come here, at connect, EHLO or AUTH: those are host errors, and a panel would stop the whole
server's mail for them.
"""

import asyncio
import logging
from typing import Protocol, Self

from aiosmtpd.smtp import AuthResult, LoginPassword

from relay.account import Account, Credential
from relay.front.auth import Locked
from relay.front.conversation import Conversation
from relay.front.doorway import Doorway
from relay.front.entrances import Entrance
from relay.front.guard import ERRONEOUS
from relay.front.proxied import XCLIENT_NAMES, Client, is_among, is_loopback, parse_xclient, plain_ip, proxied_ip
from relay.reply import PermanentError, RelayError, Reply

_log = logging.getLogger("mailweir.front")

_PROXY_SECONDS = 10.0  # a balancer sends its header with the first packet


class House(Protocol):
    """Who counts the sessions (front/server.py)."""

    is_closing: bool

    def enter(self, door: "Visit") -> Reply | None:
        """Note a session; return why it is not welcome, if so."""
        ...

    def leave(self, door: "Visit") -> None:
        """Note that a session is over."""
        ...

    def erred(self, door: "Visit") -> bool:
        """Count an error of a session; tell whether its address has made too many."""
        ...


class Visit(Conversation):
    """One connection of one client."""

    way: Doorway
    _doors: House
    _entrance: Entrance
    _account: Account | None
    _credential: str
    _proven: str  # the hash its password proved
    _given: LoginPassword | None
    is_in_transaction: bool

    def serve(self, way: Doorway, doors: House, entrance: Entrance) -> None:
        """Make this session the template of all others of a listener."""
        self.way, self._doors, self._entrance = way, doors, entrance
        self.is_implicit_tls = entrance.is_implicit_tls
        for unwanted in ("HELP", "VRFY", "EXPN"):
            self._smtp_methods.pop(unwanted, None)
        # aiosmtpd's own limit of 512 bytes a command is too short for what we announce
        self.command_size_limits["MAIL"] = self.command_size_limits["RCPT"] = 2048
        self.command_size_limits["AUTH"] = 12_288  # RFC 4954 section 4.5

    def cloned(self) -> Self:
        visit = super().cloned()
        visit._account, visit._credential, visit._proven, visit._given = None, "", "", None
        visit.is_in_transaction = False
        return visit

    # ---- connection ----

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        is_new = self._original_transport is None
        super().connection_made(transport)
        if not is_new:
            # TLS begins: forget what was said in clear text (RFC 3207 section 4.2)
            self._account, self._credential, self._proven = None, "", ""
            return
        peer = transport.get_extra_info("peername")
        self.ip = plain_ip(peer[0]) if peer else ""
        if is_among(self.ip, self.way.settings.proxy_from):
            return  # a balancer is nobody's client: who it speaks for enters when that is known
        if unwelcome := self._doors.enter(self):
            self.close_with(unwelcome)

    def connection_lost(self, error: Exception | None) -> None:
        self._doors.leave(self)
        super().connection_lost(error)

    async def _opened(self) -> bool:
        if is_among(self.ip, self.way.settings.proxy_from) and not await self._hear_proxy():
            return False
        return await super()._opened()

    async def _hear_proxy(self) -> bool:
        self._reset_timeout(_PROXY_SECONDS)
        client = await proxied_ip(self._reader, self.ip)
        self._reset_timeout()
        if client is None:
            _log.warning("no PROXY header balancer=%s", self.ip)
            self.abort()
            return False
        self.ip = client
        if unwelcome := self._doors.enter(self):
            self.close_with(unwelcome)
            return False
        return True

    async def smtp_XCLIENT(self, arg: str | None) -> None:
        assert self.session is not None
        if not self._may_xclient():
            await self.push("550 5.7.1 not for you")
        elif self.is_in_transaction:
            await self.push("503 5.5.1 in a transaction")
        else:
            try:
                self._become(parse_xclient((arg or "").split()))
            except RelayError as error:
                await self._answer(error.reply)
            else:
                await self.push(f"220 {self.way.hostname} ESMTP")

    def _become(self, client: Client) -> None:
        """Start over as this client (the balancer's word counts for its whole connection)."""
        assert self.session is not None
        if client.ip is not None:
            self._doors.leave(self)
            self.ip = client.ip
            if unwelcome := self._doors.enter(self):
                self.close_with(unwelcome)
                raise RelayError(unwelcome)
        self._account, self._credential, self._proven = None, "", ""
        self.session.authenticated = False
        self.session.host_name = _recordable(client.helo) if client.helo else None
        if client.login is not None:
            self._log_in_as(self.way.credential_of(client.login))

    def _log_in_as(self, credential: Credential | None) -> None:
        assert self.session is not None
        account = self.way.account_of_name(credential.account) if credential else None
        if credential is None or account is None:
            raise PermanentError(Reply(550, "5.7.1", "no such login"))
        self.session.authenticated = True
        self._account, self._credential = account, credential.login

    def _may_xclient(self) -> bool:
        assert self.session is not None
        peer = self.session.peer  # who is connected, not whom he speaks for
        return peer is not None and is_among(plain_ip(peer[0]), self.way.settings.xclient_from)

    # ---- commands ----

    async def smtp_HELO(self, hostname: str | None) -> None:
        if not hostname:
            await self.push("501 5.5.4 HELO needs a name")
            return
        self._set_rset_state()  # type: ignore[no-untyped-call]
        assert self.session is not None
        self.session.extended_smtp = False
        self.session.host_name = _recordable(hostname)
        await self.push(f"250 {self.way.hostname}")

    async def smtp_EHLO(self, hostname: str | None) -> None:
        if not hostname:
            await self.push("501 5.5.4 EHLO needs a name")
            return
        self._set_rset_state()  # type: ignore[no-untyped-call]
        assert self.session is not None
        self.session.extended_smtp = True
        self.session.host_name = _recordable(hostname)
        size = self.way.settings.max_size_bytes
        lines = [self.way.hostname, "PIPELINING", f"SIZE {size}", "8BITMIME", "SMTPUTF8"]
        lines += ["ENHANCEDSTATUSCODES", "DSN", "CHUNKING"]
        if not self._tls_protocol:
            lines.append("STARTTLS")
        if self._may_authenticate():
            lines.append("AUTH PLAIN LOGIN")
        if self.way.settings.xclient_from and self._may_xclient():
            lines.append(f"XCLIENT {' '.join(XCLIENT_NAMES)}")
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
            self._account, self._credential, self._proven = account, found.login, found.hash
            await self.push("235 2.7.0 authentication successful")

    def _may_authenticate(self) -> bool:
        if self._tls_protocol or self._entrance.may_auth_in_clear:
            return True
        return self.way.settings.auth_without_tls and is_loopback(self.ip)

    def _blundered(self) -> None:
        if self._doors.erred(self) and not self.way.is_trusted(self.ip):
            self._replies.clear()  # 421 instead of the error that was one too many
            self.close_with(ERRONEOUS)

    def _sender_account(self) -> Account | None:
        """Whose client this is now, not as it was at login: a login may have been revoked or rotated away since."""
        if self._account is None:
            return self.way.account_of_ip(self.ip)
        way = self.way
        if not way.authenticator.is_usable(self._credential, self.ip, way.clock.now(), self._proven):
            return None
        return way.account_of_name(self._account.name)


def _recordable(hostname: str) -> str:
    """Return a client's name for itself as it may stand in records: bytes that are no UTF-8 would break them."""
    return hostname[:255].encode("utf-8", "replace").decode()
