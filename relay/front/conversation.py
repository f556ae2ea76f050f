"""The talk under an SMTP session: aiosmtpd's protocol with our reader, our replies and our patience.

Its one duty is that a client who floods, stalls, breaks off or never reads harms nobody but himself. Knows nothing of
mail; never logs per command; never echoes input.
"""

import asyncio
import contextlib
import logging
import re
from asyncio import sslproto
from typing import Any, Self

import aiosmtpd.smtp
from aiosmtpd.smtp import SMTP, TLSSetupException

from relay.reply import Reply

_log = logging.getLogger("mailweir.front")

# aiosmtpd cleans every command line for a log that is switched off, by a regular expression, twice
aiosmtpd.smtp.sanitized_log = lambda *_args, **_kwargs: None

_READER_LIMIT = 65_536
# Commands of one client before the others get the loop: its buffer may hold 20,000 of them
_TURN = 20
_FAREWELL_SECONDS = 3.0  # for a client to read our goodbye; one that never reads would keep its place for ever
_HANDSHAKE_SECONDS = 30  # for TLS, and for the PROXY header before it

TRY_LATER = Reply(451, "4.3.0", "internal error, try again later")
_TIMED_OUT = Reply(421, "4.4.2", "timeout, closing connection")
_LINE_TOO_LONG = Reply(500, "5.5.6", "line too long")
_IN_TLS = Reply(503, "5.5.1", "TLS is active already")


class _Reader(asyncio.StreamReader):
    """A reader whose end of file is what aiosmtpd takes for the end of the session; else it would answer it."""

    async def readuntil(self, separator: bytes = b"\n") -> bytes:  # type: ignore[override]
        try:
            return await super().readuntil(separator)
        except asyncio.IncompleteReadError as error:
            raise ConnectionResetError("the client has left") from error


class Conversation(SMTP):
    """One connection. `cloned` makes each from a template."""

    ip: str
    is_implicit_tls: bool = False
    _replies: list[bytes]
    _turn: int
    _deadline: float
    _timeout_handle: asyncio.TimerHandle | None

    def cloned(self) -> Self:
        """A fresh session from this template: SMTP.__init__ inspects every member, 0.1 ms a connection."""
        fresh = type(self).__new__(type(self))
        fresh.__dict__.update(self.__dict__)
        reader = _Reader(loop=self.loop, limit=_READER_LIMIT)
        asyncio.StreamReaderProtocol.__init__(fresh, reader, fresh._cb_client_connected, loop=self.loop)
        # these hold methods bound to the template: its replies would go to the first connection
        fresh._smtp_methods = {name: getattr(fresh, "smtp_" + name) for name in self._smtp_methods}
        fresh._replies, fresh._turn, fresh._timeout_handle = [], 0, None
        return fresh

    def close_with(self, reply: Reply) -> None:
        """Say goodbye now."""
        transport = self.transport
        if isinstance(transport, asyncio.WriteTransport) and not transport.is_closing():
            transport.write(f"{reply}\r\n".encode())
            transport.close()
            # close() waits until the client has read everything
            self.loop.call_later(_FAREWELL_SECONDS, transport.abort)

    # ---- deadlines ----

    def _reset_timeout(self, duration: float | None = None) -> None:
        # A timer per command costs more than the command: one timer runs, and looks at the deadline when it ends. Only
        # an earlier deadline than the running timer's needs a new one.
        self._deadline = self.loop.time() + (duration or self._timeout_duration)
        handle = self._timeout_handle
        if handle is None or handle.cancelled() or handle.when() > self._deadline:
            if handle is not None:
                handle.cancel()
            self._timeout_handle = self.loop.call_at(self._deadline, self._timeout_cb)

    def _stop_timeout(self) -> None:
        """Be patient without end; until the next reset."""
        if self._timeout_handle is not None:
            self._timeout_handle.cancel()

    # ---- the end of a connection, in all its kinds ----

    async def _handle_client(self) -> None:
        with contextlib.suppress(ConnectionResetError):
            if await self._opened():
                await super()._handle_client()

    async def _opened(self) -> bool:
        """What comes before the greeting: TLS where the listener begins with it. False: the connection is over."""
        if not self.is_implicit_tls:
            return True
        self._reset_timeout(_HANDSHAKE_SECONDS)
        try:
            await self._start_tls()
        except TLSSetupException as error:
            await self.handle_exception(error)
            self.abort()
            return False
        self._reset_timeout()
        return True

    def abort(self) -> None:
        """Close at once, without a word."""
        transport = self._original_transport or self.transport
        if isinstance(transport, asyncio.WriteTransport):
            transport.abort()

    def eof_received(self) -> bool:
        # aiosmtpd would drop a command under way here; who has said all may still listen (RFC 9293 section 3.6)
        return bool(asyncio.StreamReaderProtocol.eof_received(self)) and not self._tls_protocol

    def _timeout_cb(self) -> None:
        if self.loop.time() < self._deadline:
            self._timeout_handle = self.loop.call_at(self._deadline, self._timeout_cb)
        else:
            self.close_with(_TIMED_OUT)

    async def handle_exception(self, error: Exception) -> str:
        """Log what went wrong; the client learns that it may try again, or that the connection is over."""
        match error:
            case TLSSetupException():  # aiosmtpd closes
                _log.info("tls handshake failed client=%s cause=%r", self.ip, error.__cause__)
            case OSError():
                _log.info("connection failed client=%s cause=%r", self.ip, error)
                self.close_with(TRY_LATER)
            case _:
                _log.exception("session failed client=%s", self.ip, exc_info=error)
        return str(TRY_LATER)

    # ---- replies ----

    async def push(self, status: str | bytes) -> None:
        """Write a reply, behind those that wait."""
        text = status if isinstance(status, str) else status.decode()
        if bare := _BARE_ERROR.match(text):
            # aiosmtpd's own errors carry no enhanced code and some echo input: replace their text
            text = f"{bare[1]}{bare[2]} {bare[1]}.5.2 syntax error or unknown command"
            self._blundered()
        self._replies.append(text.encode() + b"\r\n")
        await self._flush()
        await self._take_turns()

    def _blundered(self) -> None:
        """The client made an error in the protocol."""

    async def _answer(self, reply: Reply | str) -> None:
        """Reply within a pipelined group: written when no further complete command waits (RFC 2920 section 3.2)."""
        self._replies.append(f"{reply}\r\n".encode())
        if b"\n" not in self._reader._buffer:  # type: ignore[attr-defined]
            await self._flush()
        await self._take_turns()

    async def _flush(self) -> None:
        transport: Any = self.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the client has left")
        transport.write(b"".join(self._replies))
        self._replies.clear()
        if transport.get_write_buffer_size():
            await self._writer.drain()  # a client that pipelines and never reads is held back here

    async def _take_turns(self) -> None:
        self._turn += 1
        if self._turn >= _TURN:
            self._turn = 0
            await asyncio.sleep(0)

    # ---- commands that are about the connection ----

    async def smtp_STARTTLS(self, arg: str | None) -> None:
        if self._tls_protocol:
            await self.push(str(_IN_TLS))  # a second layer would be put over the first
        elif arg:
            await self.push("501 5.5.4 STARTTLS takes no argument")
        else:
            await self.push("220 Ready to start TLS")
            # what a client pipelined behind the command was said in clear text (RFC 3207 section 5)
            self._reader._buffer.clear()  # type: ignore[attr-defined]
            await self._start_tls()

    async def _start_tls(self) -> None:
        """Put TLS under the talk, as aiosmtpd's STARTTLS does. Raises TLSSetupException.

        Bytes that came already (behind a PROXY header) are the client's hello.
        """
        hello = bytes(self._reader._buffer)  # type: ignore[attr-defined]
        assert self.transport is not None
        assert self.tls_context is not None
        done = self.loop.create_future()
        tls = sslproto.SSLProtocol(
            self.loop, self, self.tls_context, done, server_side=True, ssl_handshake_timeout=_HANDSHAKE_SECONDS
        )
        self._tls_protocol, self._original_transport = tls, self.transport
        self._original_transport.set_protocol(tls)
        self.transport = tls._get_app_transport()  # type: ignore[attr-defined]
        tls.connection_made(self._original_transport)
        if hello:
            tls.get_buffer(len(hello))[: len(hello)] = hello
            tls.buffer_updated(len(hello))
        try:
            await done
        except asyncio.CancelledError:
            raise
        except Exception as error:
            raise TLSSetupException from error

    async def smtp_NOOP(self, arg: str | None) -> None:
        await self._answer("250 2.0.0 ok")

    async def challenge_auth(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return await super().challenge_auth(*args, **kwargs)
        except ValueError:  # StreamReader.readline's word for an over-long line; its rest is not to be obeyed
            self.close_with(_LINE_TOO_LONG)
            raise ConnectionResetError("line too long") from None


_BARE_ERROR = re.compile(r"([45])(\d\d) (?!\d\.\d)")
