"""What a client does: MAIL, RCPT, DATA, and what is refused there.

Never logs per command; never echoes input.
"""

from dataclasses import replace
from typing import Any, Self

from relay.account import Credential
from relay.dsn_options import decode_xtext, mail_options, rcpt_options
from relay.envelope import Submission
from relay.front.address import parse_path
from relay.front.bindings import check_binding
from relay.front.doorway import CLOSING, check_suppression
from relay.front.incoming import TOO_BIG
from relay.front.transfer import Transfer
from relay.reception.admission import Admission
from relay.reply import PermanentError, RelayError, Reply
from relay.spool.large import LargeFile

_MAIL_PARAMETERS = {"SIZE", "BODY", "SMTPUTF8", "AUTH", "RET", "ENVID"}
_RCPT_PARAMETERS = {"NOTIFY", "ORCPT"}
_RECORDED_REFUSALS = 100  # of one session; the rest is only counted

_AUTH_NEEDED = Reply(530, "5.7.0", "authentication required")
_NO_RELAY = Reply(550, "5.7.1", "[AUTH] relaying denied")


class Door(Transfer):
    """One SMTP session."""

    _refusals: int
    _asked: str  # the recipient of the last RCPT, as far as it could be read
    _auth_param: str
    _dsn: str
    _rcpt_dsns: list[str]
    _is_8bit: bool
    _admission: Admission | None = None

    def cloned(self) -> Self:
        door = super().cloned()
        door._refusals, door._admission = 0, None
        door._auth_param, door._is_8bit = "", False
        door._dsn, door._rcpt_dsns = "", []
        return door

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
        self._dsn = mail_options(parameters)
        check_binding(self._bound(), address)
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
            raise PermanentError(TOO_BIG)
        _check_ascii(address, is_smtputf8="SMTPUTF8" in parameters)

    async def smtp_RCPT(self, arg: str | None) -> None:
        self._asked = ""
        try:
            self._add_recipient(arg or "")
        except RelayError as error:
            self._note("rcpt", error.reply, self._asked)
            await self._answer(error.reply)
        else:
            await self._answer("250 2.1.5 recipient ok")

    def _add_recipient(self, arg: str) -> None:
        assert self.envelope is not None
        if self.envelope.mail_from is None:
            # without an account this is a relay attempt, whatever was refused before
            raise PermanentError(Reply(503, "5.5.1", "need MAIL command") if self._sender_account() else _NO_RELAY)
        if self._incoming is not None:
            raise PermanentError(Reply(503, "5.5.1", "no RCPT after BDAT"))
        if len(self.envelope.rcpt_tos) >= self.way.settings.max_recipients:
            raise RelayError(Reply(452, "4.5.3", "too many recipients"))
        address, parameters = parse_path(_strip(arg, "TO:"), may_be_empty=False)
        self._asked = address
        if parameters.keys() - _RCPT_PARAMETERS:
            raise PermanentError(Reply(555, "5.5.4", "RCPT parameter not recognized"))
        dsn = rcpt_options(parameters) if parameters else ""
        _check_ascii(address, is_smtputf8=self.envelope.smtp_utf8)
        if address not in self.envelope.rcpt_tos:
            self._check_suppression(address)
            self._reserve(address)
            self.envelope.rcpt_tos.append(address)
            self._rcpt_dsns.append(dsn)

    def _check_suppression(self, recipient: str) -> None:
        # whether the login is still good is asked at the next step; a network's client has none
        account = self._account or self.way.account_of_ip(self.ip)
        if self.way.suppressed and account is not None:
            check_suppression(self.way, account.name, recipient)

    def _reserve(self, recipient: str) -> None:
        if self._admission is None and self.way.admit is not None and self.way.is_limited():
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
        super()._set_post_data_state()
        self._end_admission()
        self.is_in_transaction = False
        self._dsn, self._rcpt_dsns = "", []

    def connection_lost(self, error: Exception | None) -> None:
        self._end_admission()
        super().connection_lost(error)

    def _message_ended(self) -> None:
        if self._doors.is_closing:
            self.close_with(CLOSING)

    def _note(self, stage: str, reply: Reply, recipient: str = "") -> None:
        """Tell of a refusal, of one recipient or of all. Strangers are only counted, or they could fill the journal."""
        self._refusals += 1
        is_stranger = self._sender_account() is None
        if is_stranger:
            self._blundered()
        is_known = self._refusals <= _RECORDED_REFUSALS and not is_stranger
        submission = self._submission(b"") if is_known else None
        if submission is not None and recipient:
            submission = replace(submission, recipients=(recipient,))
        self.way.on_refusal(stage, reply, submission)

    def _bound(self) -> Credential | None:
        """The login, where this client has one: it may be bound to domains or to one end sender."""
        return self.way.credential_of(self._credential) if self._credential else None

    def _submission(self, content: bytes, large: LargeFile | None = None) -> Submission:
        assert self.envelope is not None
        assert self.session is not None
        account = self._sender_account()
        if account is None:
            raise PermanentError(_AUTH_NEEDED)  # revoked during the transaction
        bound = self._bound()
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
            large=large,
            received_at=self.way.clock.now(),
            auth_param=self._auth_param,
            is_8bit=self._is_8bit,
            is_smtputf8=self.envelope.smtp_utf8,
            dsn=self._dsn,
            rcpt_dsns=tuple(self._rcpt_dsns) if any(self._rcpt_dsns) else (),
            admission=self._admission,
            end_sender=bound.end_sender if bound else "",
            sender_domains=bound.sender_domains if bound else (),
        )


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
