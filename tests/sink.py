"""A real SMTP server in a thread, whose recipient addresses say how to misbehave.

The local part decides, up to a `+` (so that addresses can differ: `reject-550-5.1.1+7@example.net`):
  reject-CODE-ENH, dot-CODE-ENH, data-CODE-ENH  that reply to RCPT, to the final dot, to DATA; ENH may be left out
  grey, dot-once-CODE                       450 4.7.1 to the first RCPT, CODE to the first final dot; then accepted
  drop-rcpt drop-data drop-content          closes there
  drop-dot, drop-dot-once                   takes the mail and closes without a reply; always, or the first time
  latin1 nul long lf odd notext multi       a 550 to RCPT in strange bytes
  ahead                                     replies to everything before it is asked
  slow-SECONDS, hang                        waits before the reply to the final dot; hang never replies
  anything else                             accepted
"""

import asyncio
import base64
import ssl
import threading
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Self

from tests.referee import Referee, Visit

_MAX_CONTENT = 64 * 1024 * 1024

_STRANGE = {
    "latin1": b"550 5.1.1 Empf\xe4nger unbekannt\r\n",
    "nul": b"550 5.1.1 no\x00such\x1b[31m user\r\n",
    "long": b"550 5.1.1 " + b"x" * 100_000 + b"\r\n",
    "lf": b"550 5.1.1 no such user\n",
    "odd": b"999 what is this\r\n",
    "notext": b"550\r\n",
    "multi": b"550-5.1.1 there is no such user\r\n550-5.1.1 not here\r\n550 5.1.1 and not there\r\n",
}


@dataclass(frozen=True)
class Received:
    """One mail the sink has taken. `content` is unstuffed, `parameters`: those of MAIL FROM; `tls`: the protocol.
    `rcpt_parameters`: those of each recipient's RCPT."""

    mail_from: str
    recipients: tuple[str, ...]
    content: bytes
    tls: str = ""
    parameters: tuple[str, ...] = ()
    session: int = 0
    user: str = ""
    rcpt_parameters: tuple[tuple[str, ...], ...] = ()


@dataclass
class Manner:
    """How the sink behaves to everybody."""

    greeting: bytes = b"220 sink.example ESMTP\r\n"
    extensions: tuple[str, ...] = ("PIPELINING", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES")
    knows_ehlo: bool = True
    tls: ssl.SSLContext | None = None
    starttls_reply: bytes = b"220 2.0.0 go ahead\r\n"
    breaks_tls: bool = False  # garbage instead of a handshake
    stalls_tls: bool = False  # says yes to STARTTLS, and nothing more
    login: tuple[str, str] | None = None  # asked for before MAIL
    max_recipients: int = 1000
    max_mails: int = 10_000  # per connection; then 421 to MAIL
    max_sessions: int = 10_000  # then 421 as greeting
    refused_clients: dict[str, bytes] = field(default_factory=dict)  # address -> the reply to RCPT
    delay_seconds: float = 0.0  # before each reply
    referee: Referee = field(default_factory=Referee)


@dataclass
class Sink:
    """`with Sink() as sink:` or start and stop, in a thread; `async with sink.open():` in the running event loop."""

    manner: Manner = field(default_factory=Manner)
    messages: list[Received] = field(default_factory=list)
    port: int = 0
    address: str = "127.0.0.1"
    sessions: int = 0
    open_sessions: int = 0
    most_open_sessions: int = 0
    quits: int = 0

    def __post_init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._changed = threading.Condition()
        self._tasks: set[asyncio.Task[None]] = set()
        self.seen_before: set[str] = set()

    def start(self) -> Self:
        started = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(started,), daemon=True)
        self._thread.start()
        assert started.wait(10)
        return self

    def stop(self) -> None:
        if self._loop is not None and self._loop.is_running():
            self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(10)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def wait_for(self, count: int, seconds: float = 20) -> list[Received]:
        """Return the messages once there are `count`; fail after the deadline."""
        return self.wait_until(lambda: len(self.messages) >= count, seconds)

    def wait_until(self, condition: Callable[[], bool], seconds: float = 20) -> list[Received]:
        """Return the messages once `condition` holds; fail after the deadline."""
        with self._changed:
            assert self._changed.wait_for(condition, seconds), f"after {seconds} s: {len(self.messages)} messages"
        return list(self.messages)

    def addresses(self) -> list[str]:
        """Every recipient that was taken, as often as it was."""
        return [address for message in self.messages for address in message.recipients]

    def _run(self, started: threading.Event) -> None:
        asyncio.run(self._serve(started))

    async def _serve(self, started: threading.Event) -> None:
        self._end, self._loop = asyncio.Event(), asyncio.get_running_loop()
        async with self.open():
            started.set()
            await self._end.wait()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Self]:
        """Listen until the block ends."""
        server = await asyncio.start_server(self._accept, self.address, self.port, limit=_MAX_CONTENT)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            await self._end_sessions()

    async def _end_sessions(self) -> None:
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.sessions += 1
        self.open_sessions += 1
        self.most_open_sessions = max(self.most_open_sessions, self.open_sessions)
        session = _Session(self, reader, writer, self.sessions)
        try:
            await session.run()
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            self.open_sessions -= 1
            session.leave()
            writer.transport.abort()
            self.notify()

    def notify(self) -> None:
        """Let waiting tests look again."""
        with self._changed:
            self._changed.notify_all()


class _Session:
    def __init__(self, sink: Sink, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        self._sink, self._manner, self._number = sink, sink.manner, number
        self._reader, self._writer = reader, writer
        self._tls, self._user, self._mails = "", "", 0
        self._visit = Visit(str(writer.get_extra_info("peername")[0]))
        self._reset()

    def _reset(self) -> None:
        self._mail_from: str | None = None
        self._parameters: tuple[str, ...] = ()
        self._recipients: list[str] = []
        self._rcpt_parameters: list[tuple[str, ...]] = []

    def leave(self) -> None:
        self._manner.referee.left(self._visit)

    async def run(self) -> None:
        refusal = self._manner.referee.came(self._visit)
        if self._sink.open_sessions > self._manner.max_sessions:
            refusal = refusal or b"421 4.7.0 too many connections\r\n"
        if refusal:
            await self._say(refusal)
            return
        await self._say(self._manner.greeting)
        while line := await self._reader.readline():
            verb, _, rest = line.decode("utf-8", "replace").strip().partition(" ")
            if verb.upper() == "QUIT":
                self._sink.quits += 1
                await self._say(b"221 2.0.0 bye\r\n")
                return
            if not await self._obey(verb.upper(), rest):
                return

    async def _obey(self, verb: str, rest: str) -> bool:
        """Answer one command; False ends the session."""
        match verb:
            case "EHLO" | "HELO":
                await self._hello(verb)
            case "STARTTLS":
                return await self._start_tls()
            case "AUTH":
                await self._authenticate(rest)
            case "RSET":
                self._reset()
                await self._say(b"250 2.0.0 reset\r\n")
            case "MAIL":
                return await self._mail(rest)
            case "RCPT":
                return await self._rcpt(_address(rest), tuple(rest.partition(">")[2].split()))
            case "DATA":
                return await self._data()
            case _:
                await self._say(b"502 5.5.2 what\r\n")
        return True

    async def _say(self, reply: bytes) -> None:
        if self._manner.delay_seconds:
            await asyncio.sleep(self._manner.delay_seconds)
        self._writer.write(reply)
        await self._writer.drain()

    async def _hello(self, verb: str) -> None:
        if verb == "EHLO" and not self._manner.knows_ehlo:
            await self._say(b"502 5.5.1 EHLO is not known here\r\n")
            return
        lines = ["sink.example", *(self._manner.extensions if verb == "EHLO" else ())]
        if (
            verb == "EHLO"
            and not self._tls
            and (self._manner.tls or self._manner.breaks_tls or self._manner.stalls_tls)
        ):
            lines.append("STARTTLS")
        await self._say(_multiline(250, lines))

    async def _start_tls(self) -> bool:
        await self._say(self._manner.starttls_reply)
        if not self._manner.starttls_reply.startswith(b"220"):
            return bool(self._manner.starttls_reply)
        if self._manner.stalls_tls:
            await asyncio.sleep(3600)
        if self._manner.breaks_tls or self._manner.tls is None:
            await self._say(b"this is no TLS record at all\r\n" * 4)
            return False
        await self._writer.start_tls(self._manner.tls)
        self._tls = str(self._writer.get_extra_info("cipher")[1])
        self._visit.is_tls = True
        self._reset()
        return True

    async def _authenticate(self, rest: str) -> None:
        mechanism, _, initial = rest.partition(" ")
        if mechanism.upper() == "PLAIN":
            _, user, password = base64.b64decode(initial).decode().split("\0")
        else:
            user, password = [await self._prompt(text) for text in ("Username:", "Password:")]
        if (user, password) == self._manner.login:
            self._user = user
            await self._say(b"235 2.7.0 welcome\r\n")
        else:
            await self._say(b"535 5.7.8 no\r\n")

    async def _prompt(self, text: str) -> str:
        await self._say(b"334 " + base64.b64encode(text.encode()) + b"\r\n")
        return base64.b64decode(await self._reader.readline()).decode()

    async def _mail(self, rest: str) -> bool:
        self._mails += 1
        self._visit.mails = self._mails
        if refusal := self._manner.referee.mail(self._visit, _address(rest)):
            await self._say(refusal)
            return not refusal.startswith(b"421")
        if self._mails > self._manner.max_mails:
            await self._say(b"421 4.7.0 enough for one connection\r\n")
            return False
        if self._manner.login and not self._user:
            await self._say(b"530 5.7.0 authentication required\r\n")
        elif self._mail_from is not None:
            await self._say(b"503 5.5.1 nested MAIL\r\n")
        else:
            self._mail_from = _address(rest)
            self._parameters = tuple(rest.partition(">")[2].split())
            await self._say(b"250 2.1.0 sender ok\r\n")
        return True

    async def _rcpt(self, address: str, parameters: tuple[str, ...]) -> bool:
        order = _order(address)
        reply = b"250 2.1.5 recipient ok\r\n"
        client = self._writer.get_extra_info("peername")[0]
        if self._mail_from is None:
            reply = b"503 5.5.1 no MAIL\r\n"
        elif client in self._manner.refused_clients:
            reply = self._manner.refused_clients[client] + b"\r\n"
        elif refusal := self._manner.referee.rcpt(self._visit, self._mail_from, address):
            reply = refusal
        elif order[0] == "reject":
            reply = _reply(order[1:], "not this one")
        elif order[0] == "grey" and self._is_first(address):
            reply = b"450 4.7.1 greylisted, come back later\r\n"
        elif order[0] in _STRANGE:
            reply = _STRANGE[order[0]]
        elif order == ["drop", "rcpt"]:
            return False
        elif order == ["ahead"]:
            reply += b"354 go on\r\n250 2.0.0 thanks for what you will send\r\n"
        elif len(self._recipients) >= self._manner.max_recipients:
            reply = b"452 4.5.3 too many recipients\r\n"
        if reply.startswith(b"250"):
            self._recipients.append(address)
            self._rcpt_parameters.append(parameters)
        await self._say(reply)
        return not reply.startswith(b"421")

    async def _data(self) -> bool:
        orders = [_order(address) for address in self._recipients]
        if not self._recipients:
            await self._say(b"554 5.5.1 no valid recipients\r\n")
            return True
        for order in orders:
            if order == ["drop", "data"]:
                return False
            if order[0] == "data":
                await self._say(_reply(order[1:], "no data"))
                self._reset()
                return True
        await self._say(b"354 end with a dot\r\n")
        if ["drop", "content"] in orders:
            await self._reader.readline()
            return False
        content = _unstuffed(await self._reader.readuntil(b"\r\n.\r\n"))
        return await self._end_of_data(content, orders)

    async def _end_of_data(self, content: bytes, orders: Iterable[list[str]]) -> bool:
        for address, order in zip(self._recipients, orders, strict=True):
            match order:
                case ["dot", "once", *rest] if self._is_first(address):
                    return await self._refuse(_reply(rest, "not now"))
                case ["dot", code, *rest] if code != "once":
                    return await self._refuse(_reply([code, *rest], "not this mail"))
                case ["hang"]:
                    await asyncio.sleep(3600)
                case ["slow", seconds]:
                    await asyncio.sleep(float(seconds))
        assert self._mail_from is not None
        mail = Received(
            self._mail_from,
            tuple(self._recipients),
            content,
            self._tls,
            self._parameters,
            self._number,
            self._user,
            tuple(self._rcpt_parameters),
        )
        self._sink.messages.append(mail)
        self._manner.referee.took(self._visit, mail.content, mail.recipients)
        self._sink.notify()
        dropping = [address for address in self._recipients if _order(address)[:2] == ["drop", "dot"]]
        if any(_order(address) == ["drop", "dot"] or self._is_first(address) for address in dropping):
            return False
        self._reset()
        await self._say(b"250 2.0.0 queued as %d\r\n" % len(self._sink.messages))
        return True

    async def _refuse(self, reply: bytes) -> bool:
        self._reset()
        await self._say(reply)
        return not reply.startswith(b"421")

    def _is_first(self, address: str) -> bool:
        is_first = address not in self._sink.seen_before
        self._sink.seen_before.add(address)
        return is_first


def _address(rest: str) -> str:
    return rest.partition("<")[2].partition(">")[0]


def _order(address: str) -> list[str]:
    return address.partition("@")[0].partition("+")[0].split("-")


def _reply(words: list[str], text: str) -> bytes:
    return " ".join([*words, text]).encode() + b"\r\n"


def _unstuffed(data: bytes) -> bytes:
    data = data[:-3]
    return (data[1:] if data.startswith(b".") else data).replace(b"\r\n..", b"\r\n.")


def _multiline(code: int, lines: list[str]) -> bytes:
    return "".join([*(f"{code}-{line}\r\n" for line in lines[:-1]), f"{code} {lines[-1]}\r\n"]).encode()
