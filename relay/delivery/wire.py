"""The line discipline of one SMTP connection: whole replies in order, one command and its reply, TLS, deadlines.

Whatever a hop sends (Latin-1, NUL, 100 KB, LF only, odd codes, replies ahead of time) becomes one reply or the end of
the connection. What the replies mean is the business of client.py.
"""

import asyncio
import ssl
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Self

from relay.delivery.replies import Category, OwnReply
from relay.delivery.tls.dane import chain_of
from relay.reply import Reply

_LINE_LIMIT = 4096  # of one reply line, the rest is dropped; RFC 5321 4.5.3.1.5 allows 512
_REPLY_LIMIT = 1 << 20  # a hop that says more in one reply says nothing
_KEPT_LINES = 100
_QUIT_SECONDS = 2.0

LOST = OwnReply(451, "4.4.2", "connection lost", Category.BAD_CONNECTION)


class LostConnection(Exception):
    """The connection ended, or made no sense, while something was asked; carries our reply for it."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(str(reply))
        self.reply = reply


class Phase(Enum):
    """Where a connection stands; it goes down this list, and from FINAL_DOT back to COMMANDS or RESTING."""

    ASKING = auto()  # greeting, EHLO, STARTTLS, AUTH
    RESTING = auto()
    COMMANDS = auto()  # MAIL, RCPT, DATA are on their way
    CONTENT = auto()  # a part of a large content is on its way
    FINAL_DOT = auto()  # the hop has all of it
    QUITTING = auto()
    CLOSED = auto()


_WAITING_FOR = {
    Phase.ASKING: "greeting the next hop",
    Phase.COMMANDS: "naming sender and recipients",
    Phase.CONTENT: "sending the mail",
    Phase.FINAL_DOT: "waiting for the reply to the final dot; the mail may arrive twice",
}

Handler = Callable[[bytes], None]


@dataclass(frozen=True, slots=True)
class Deadlines:
    """Seconds that each stage may take. Connecting, greeting and TLS: KumoMTA's minute; the rest: RFC 5321 4.5.3.2."""

    connect: float
    command: float
    data: float  # DATA to its 354
    piece: float  # of content, until the hop takes the next
    final_dot: float

    @classmethod
    def of(cls, seconds: float) -> Self:
        """Scale all by the one setting: what a command may take."""
        return cls(min(60.0, seconds), seconds, min(120.0, seconds), min(180.0, 5 * seconds), min(600.0, 5 * seconds))


class Wire(asyncio.Protocol):
    """A connection from its greeting to its end; `closed` is done when it is over."""

    def __init__(self, *, deadlines: Deadlines, idle_seconds: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._deadlines, self._idle_seconds = deadlines, idle_seconds
        self._tick_seconds = min(0.5, deadlines.connect / 4, idle_seconds / 2)
        self._deadline = self._loop.time() + deadlines.connect
        self._ticker: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport | None = None
        self._phase = Phase.ASKING
        self._rest, self._lines, self._reply_bytes = b"", list[bytes](), 0
        self._is_ahead = False
        # the greeting may come before anybody waits for it
        self._asked: asyncio.Future[bytes] = self._loop.create_future()
        self._expected: deque[Handler] = deque([self._on_asked])
        self.closed: asyncio.Future[None] = self._loop.create_future()
        self.extensions: dict[str, str] = {}
        self.remote, self.source, self.tls = "", "", ""

    # ---- one command, one awaited reply ----

    async def greeting(self) -> bytes:
        """Return the hop's first reply. Raises LostConnection."""
        return await self._asked

    async def ask(self, command: bytes) -> bytes:
        """Send a command line, return its whole reply. Raises LostConnection."""
        if self._phase is not Phase.ASKING:
            raise LostConnection(LOST)
        self._asked = self._loop.create_future()
        self._expected.append(self._on_asked)
        self._deadline = self._loop.time() + self._deadlines.command
        self._write(command)
        return await self._asked

    async def start_tls(self, context: ssl.SSLContext, server_name: str) -> None:
        """Go on in TLS, after 220; server_name "": none is said. Raises OSError (SSLError is one) or LostConnection."""
        assert self._transport is not None
        self._deadline = self._loop.time() + self._deadlines.connect
        new = await self._loop.start_tls(
            self._transport,
            self,
            context,
            server_hostname=server_name or None,
            ssl_handshake_timeout=self._deadlines.connect,
        )
        if new is None or self._phase is not Phase.ASKING:
            raise LostConnection(LOST)
        self._transport = new
        cipher = new.get_extra_info("cipher")
        self.tls = f"{cipher[1]} {cipher[0]}" if cipher else "TLS"

    def peer_chain(self) -> list[bytes]:
        """The certificates that the hop sent in TLS (DER, its own first), unverified."""
        tls = self._transport.get_extra_info("ssl_object") if self._transport is not None else None
        return chain_of(tls) if tls is not None else []

    def quit(self) -> None:
        """Say goodbye; `closed` follows within seconds."""
        self._phase = Phase.QUITTING
        self._deadline = self._loop.time() + _QUIT_SECONDS
        if self._transport is not None and not self._transport.is_closing():
            self._write(b"QUIT\r\n")

    def abort(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()

    def _on_asked(self, line: bytes) -> None:
        if not self._asked.done():
            self._asked.set_result(line)

    def _write(self, data: bytes | memoryview) -> None:
        assert self._transport is not None
        self._transport.write(data)

    def _close(self) -> None:
        self._phase = Phase.QUITTING
        self._expected.clear()
        if self._transport is not None:
            self._transport.close()

    def _give_up(self, reply: Reply) -> None:
        """End the connection; whoever waits for something of it gets `reply`."""
        if not self._asked.done():
            self._asked.set_exception(LostConnection(reply))
        self._break(reply)

    def _break(self, reply: Reply | None) -> None:
        """End the connection and the transactions on it."""
        raise NotImplementedError

    def _lose(self, phase: Phase) -> None:
        """The connection is gone, from this phase."""
        raise NotImplementedError

    # ---- asyncio ----

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._ticker = self._loop.call_later(self._tick_seconds, self._tick)

    def connection_lost(self, error: Exception | None) -> None:
        if self._ticker is not None:
            self._ticker.cancel()
        if not self._asked.done():
            self._asked.set_exception(LostConnection(LOST))
            self._asked.exception()  # nobody may be waiting for the greeting
        phase = self._phase
        self._lose(phase)
        self._phase = Phase.CLOSED
        if not self.closed.done():
            self.closed.set_result(None)

    def data_received(self, data: bytes) -> None:
        if self._rest:
            data = self._rest + data
        lines = data.split(b"\n")
        self._rest = lines.pop()[:_LINE_LIMIT]
        last = len(lines)
        for number, line in enumerate(lines, 1):
            if self._phase is Phase.QUITTING:
                self._close()
                return
            if line[3:4] == b"-" and line[:3].isdigit():
                self._gather(line)
                continue
            if self._lines:
                line = b"\n".join([*self._lines, line])
                self._lines, self._reply_bytes = [], 0
            self._answer(line, is_more=number < last or bool(self._rest))

    def _gather(self, line: bytes) -> None:
        """Keep a line of a reply that goes on."""
        self._reply_bytes += len(line)
        if self._reply_bytes > _REPLY_LIMIT:
            self._give_up(protocol_error("with a reply without end", line))
        elif len(self._lines) < _KEPT_LINES:
            self._lines.append(line[:_LINE_LIMIT])

    def _answer(self, line: bytes, *, is_more: bool) -> None:
        if not self._expected:
            if self._phase is Phase.RESTING:
                self._close()  # mostly "421 idle too long"
            else:
                self._give_up(protocol_error("before it was asked,", line))
            return
        handler = self._expected.popleft()
        if is_more and not self._expected:
            # Replies ahead of time: nobody can tell any more what they answer. What answers the final dot of a whole
            # mail still counts, as the hop has it.
            self._is_ahead = True
            if self._phase is not Phase.FINAL_DOT:
                self._give_up(protocol_error("before it was asked, behind", line))
                return
        handler(line)

    # ---- deadlines: one coarse ticker, as a timer per command costs more than the command ----

    def _tick(self) -> None:
        self._ticker = self._loop.call_later(self._tick_seconds, self._tick)
        if self._loop.time() < self._deadline:
            return
        if self._phase is Phase.RESTING:
            self.quit()
        elif self._phase is Phase.QUITTING:
            self.abort()
        elif self._phase in _WAITING_FOR:
            text = f"timed out while {_WAITING_FOR[self._phase]}"
            self._give_up(OwnReply(451, "4.4.2", text, Category.BAD_CONNECTION))
            self.abort()


def protocol_error(stage: str, line: bytes) -> OwnReply:
    """Return our reply for an answer that makes no sense; a retry may help."""
    said = line[:40].decode("ascii", "replace").encode("unicode_escape").decode()
    return OwnReply(451, "4.5.0", f"the next hop answered {stage} {said!r}", Category.PROTOCOL_ERRORS)
