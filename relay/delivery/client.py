"""A connection to a next hop, and the parcels that go over it.

A state machine on callbacks, not coroutines: at 10,000 mails a second a task switch per reply costs more than the mail.
With PIPELINING (RFC 2920) a parcel is two writes and two reads: MAIL, RCPT and DATA; then the content, and behind it,
when the hop answers fast, the next parcel's commands. Each parcel leaves with one reply per recipient, given by the hop
or by us (OwnReply); it is put back instead when the hop has surely not seen it. Must never log content.
"""

from collections import deque
from collections.abc import Iterator
from typing import Protocol

from relay.delivery.body import header_of, outgoing, stuffed
from relay.delivery.queues import Parcel
from relay.delivery.replies import Category, OwnReply, parse_reply
from relay.delivery.wire import LOST, Deadlines, Handler, Phase, Wire, protocol_error
from relay.reply import Reply
from relay.spool.entry import SpooledRecipient

_STREAM_BYTES = 256 * 1024  # larger contents go out in pieces as the hop takes them
_PIECES_A_TURN = 4  # then the other connections have theirs: a hop as fast as ours would take 25 MB at a stretch
_FAST_SECONDS = 0.01  # a hop that answers the final dot so fast gets the next parcel's commands with the content

_UNREADABLE = OwnReply(451, "4.3.0", "the message could not be read from our queue")
_UNKNOWN = OwnReply(451, "4.4.2", "connection lost after the final dot; it may arrive twice", Category.BAD_CONNECTION)
_NO_UTF8 = OwnReply(553, "5.6.7", "the next hop does not support SMTPUTF8", Category.PROTOCOL_ERRORS)
_NO_8BIT = OwnReply(554, "5.6.3", "the next hop does not support 8BITMIME", Category.PROTOCOL_ERRORS)
_TOO_BIG = OwnReply(552, "5.3.4", "message too big for the next hop", Category.TOO_BIG)


class Feed(Protocol):
    """Where a connection gets parcels, and where it hands them back: the pool of its destination, or a test."""

    def take(self) -> Parcel | None:
        """Give the next parcel with its content, None when nothing waits."""
        ...

    def done(self, parcel: Parcel, connection: "Connection") -> None:
        """Every recipient of the parcel has its reply."""
        ...

    def put_back(self, parcel: Parcel) -> None:
        """The hop has not seen this parcel."""
        ...

    def rest(self, connection: "Connection") -> bool:
        """Nothing waits: tell whether the connection may stay open for a while."""
        ...


class Connection(Wire):
    """A connection that serves a feed, after the greetings (handshake.py)."""

    def __init__(self, *, deadlines: Deadlines, idle_seconds: float, max_parcels: int) -> None:
        super().__init__(deadlines=deadlines, idle_seconds=idle_seconds)
        self._parcels_left = max_parcels
        self.delivered = 0
        self.passes_dsn = False
        self._feed: Feed | None = None
        self._current: Parcel | None = None
        self._next: Parcel | None = None
        self._commands: deque[tuple[bytes, Handler]] = deque()  # of a hop without PIPELINING
        self._refusal: Reply | None = None
        self._accepted = self._answered = 0
        self._stream: Iterator[bytes] | None = None
        self._is_pipelining = self._is_fast = self._is_paused = self._is_ending = self._needs_reset = False
        self._size_limit = 0
        self._sent_at = 0.0

    def serve(self, feed: Feed) -> None:
        """Take parcels from `feed` until the hop, the limit per connection or `finish` ends it; see `closed`."""
        self._feed = feed
        self._is_pipelining = "PIPELINING" in self.extensions
        self.passes_dsn = (
            "DSN" in self.extensions
        )  # RFC 3461 section 5.2.2: the hop answers for the mail's reports then
        size = self.extensions.get("SIZE", "")
        self._size_limit = int(size) if size.isdigit() and len(size) < 20 else 0
        if self._phase is Phase.ASKING:
            self._advance()

    def resume(self) -> bool:
        """Look again whether something waits; False: this connection no longer rests, it has ended."""
        if self._phase is not Phase.RESTING:
            return False
        self._advance()
        return True

    def finish(self) -> None:
        """Send QUIT once the open transactions have ended."""
        self._is_ending = True
        if self._phase is Phase.RESTING:
            self.quit()

    # ---- the way of one parcel ----

    def _advance(self) -> None:
        """Go on with the next parcel, rest, or say goodbye."""
        assert self._feed is not None
        if self._current is not None:  # its commands went out behind the last content
            self._phase = Phase.COMMANDS
            self._deadline = self._loop.time() + self._deadlines.command
        elif (parcel := self._taken()) is not None:
            self._current = parcel
            self._phase = Phase.COMMANDS
            self._deadline = self._loop.time() + self._deadlines.command
            self._write(self._opening(parcel))
        else:
            self._phase = Phase.RESTING
            if self._may_take() and self._feed.rest(self):
                self._deadline = self._loop.time() + self._idle_seconds
            else:
                self.quit()

    def _may_take(self) -> bool:
        return not self._is_ending and self._parcels_left > 0

    def _taken(self) -> Parcel | None:
        """The next parcel that this hop is able to take; those before it are done, refused by us."""
        assert self._feed is not None
        while self._may_take() and (parcel := self._feed.take()) is not None:
            refusal = self._unfit(parcel)
            if refusal is None:
                self._parcels_left -= 1
                return parcel
            parcel.replies = [refusal] * len(parcel.recipients)
            self._feed.done(parcel, self)
        return None

    def _unfit(self, parcel: Parcel) -> Reply | None:
        content = parcel.content
        assert content is not None
        if self._size_limit and len(content) + len(parcel.prefix) > self._size_limit:
            return _TOO_BIG
        if _is_plain(parcel):
            return None
        if _needs_utf8(parcel) and "SMTPUTF8" not in self.extensions:
            return _NO_UTF8
        return None if "8BITMIME" in self.extensions or _is_seven_bit(parcel) else _NO_8BIT

    def _opening(self, parcel: Parcel) -> bytes:
        """What opens the parcel's transaction: all of it when pipelining, else the first command."""
        parcel.replies = [None] * len(parcel.recipients)
        parts = [self._mail_command(parcel)]
        parts += [self._rcpt_command(recipient) for recipient in parcel.recipients]
        parts.append(b"DATA\r\n")
        handlers: list[Handler] = [self._on_mail, *[self._on_rcpt] * len(parcel.recipients), self._on_data]
        if self._needs_reset:
            self._needs_reset = False
            parts.insert(0, b"RSET\r\n")
            handlers.insert(0, self._on_reset)
        if self._is_pipelining:
            self._expected.extend(handlers)
            return b"".join(parts)
        self._expected.append(handlers[0])
        self._commands.extend(zip(parts[1:], handlers[1:], strict=True))
        return parts[0]

    def _mail_command(self, parcel: Parcel) -> bytes:
        message, content = parcel.message, parcel.content
        assert content is not None
        options = b" SIZE=%d" % (len(parcel.prefix) + len(content)) if "SIZE" in self.extensions else b""
        if not _is_plain(parcel):
            options += b"" if _is_seven_bit(parcel) else b" BODY=8BITMIME"
            options += b" SMTPUTF8" if _needs_utf8(parcel) else b""
        if message.dsn and self.passes_dsn:
            options += b" " + message.dsn.encode()
        return b"MAIL FROM:<%b>%b\r\n" % (parcel.return_path.encode(), options)

    def _rcpt_command(self, recipient: SpooledRecipient) -> bytes:
        if recipient.dsn and self.passes_dsn:
            return b"RCPT TO:<%b> %b\r\n" % (recipient.address.encode(), recipient.dsn.encode())
        return b"RCPT TO:<%b>\r\n" % recipient.address.encode()

    def _step(self) -> None:
        command, handler = self._commands.popleft()
        self._expected.append(handler)
        self._deadline = self._loop.time() + (self._deadlines.command if self._commands else self._deadlines.data)
        self._write(command)

    # ---- replies ----

    def _on_reset(self, line: bytes) -> None:
        if not _is_ok(line):
            self._break(protocol_error("RSET with", line))
        elif self._commands:
            self._step()

    def _on_mail(self, line: bytes) -> None:
        if _is_ok(line):
            if self._commands:
                self._step()
        elif line[:3] == b"421" and self.delivered:
            self._break(None)  # the hop has had enough of this connection, not of the mail
        else:
            self._refusal = _failure("MAIL", line)
            if self._refusal.code == 421:
                self._break(self._refusal)
            elif not self._is_pipelining:
                self._complete(needs_reset=True)

    def _on_rcpt(self, line: bytes) -> None:
        assert self._current is not None
        if _is_ok(line):
            self._accepted += 1
        elif self._refusal is None:
            reply = self._current.replies[self._answered] = _failure("RCPT", line)
            if reply.code == 421:
                self._break(reply)
                return
        self._answered += 1
        if self._commands:
            if len(self._commands) == 1 and not self._accepted:  # only DATA is left, and nobody to send it to
                self._complete(needs_reset=True)
            else:
                self._step()
        elif self._answered == len(self._current.recipients):
            self._deadline = self._loop.time() + self._deadlines.data

    def _on_data(self, line: bytes) -> None:
        has_recipient = self._accepted > 0 and self._refusal is None
        if line[:3] == b"354" and has_recipient:
            self._send_content()
        elif line[:3] == b"354":  # RFC 2920 section 3.1: nobody is to get it, so the empty mail goes nowhere
            self._expected.append(self._on_pointless_dot)
            self._write(b".\r\n")
        else:
            if has_recipient:
                self._refusal = _failure("DATA", line)
            if line[:3] == b"421":
                self._break(self._refusal or LOST)
            else:
                self._complete(needs_reset=True)

    def _on_pointless_dot(self, _line: bytes) -> None:
        self._complete(needs_reset=True)

    def _on_dot(self, line: bytes) -> None:
        is_whole = self._phase is Phase.FINAL_DOT
        self._is_fast = self._loop.time() - self._sent_at < _FAST_SECONDS
        if is_whole and _is_ok(line):
            self.delivered += 1
            self._refusal = parse_reply(line)
            self._complete(needs_reset=False)
            return
        self._refusal = _failure("the final dot", line)
        if is_whole and self._refusal.code != 421 and not isinstance(self._refusal, OwnReply):
            self._complete(needs_reset=False)
        else:
            self._break(self._refusal)

    def _complete(self, *, needs_reset: bool) -> None:
        """The current parcel is through: `_refusal` answers every recipient that has no reply of its own."""
        parcel, reply = self._current, self._refusal
        assert parcel is not None
        assert self._feed is not None
        self._current, self._next = self._next, None
        self._commands.clear()
        self._needs_reset = needs_reset
        self._refusal, self._accepted, self._answered = None, 0, 0
        _fill(parcel, reply or LOST)
        self._feed.done(parcel, self)
        if self._is_ahead:
            self._close()
        elif self._phase is not Phase.QUITTING:
            self._advance()

    def _break(self, reply: Reply | None) -> None:
        """End the connection. The current parcel gets `reply` where it has none; None: it is put back."""
        current, following = self._current, self._next
        self._current = self._next = self._stream = None
        self._commands.clear()
        self._close()
        if self._feed is None:
            return
        if current is not None and reply is not None:
            _fill(current, reply)
            self._feed.done(current, self)
        elif current is not None:
            self._feed.put_back(current)
        if following is not None:
            self._feed.put_back(following)

    def _lose(self, phase: Phase) -> None:
        is_unseen = bool(self._expected) and self._expected[0] in (self._on_mail, self._on_reset)
        if phase is Phase.FINAL_DOT:
            self._break(_UNKNOWN)
        elif phase is Phase.COMMANDS and self.delivered and is_unseen:
            self._break(None)  # a reused connection that the hop had already given up
        else:
            self._break(LOST)

    # ---- content ----

    def _send_content(self) -> None:
        parcel = self._current
        assert parcel is not None
        assert parcel.content is not None
        assert self._transport is not None
        if parcel.is_forgotten:  # its sender was stopped meanwhile: without content the hop has nothing of it
            self._break(None)
            return
        content = parcel.content
        self._expected.append(self._on_dot)
        self._sent_at = self._loop.time()
        self._deadline = self._sent_at + self._deadlines.final_dot
        if isinstance(content, bytes) and len(content) <= _STREAM_BYTES:
            self._phase = Phase.FINAL_DOT
            self._transport.writelines((parcel.prefix, stuffed(content), b".\r\n", self._following()))
        else:
            self._phase = Phase.CONTENT
            self._stream = outgoing(content)
            self._write(parcel.prefix)
            self._pump()

    def _following(self) -> bytes:
        """The commands of the parcel after this one, b"" when they have to wait for the final reply."""
        if not (self._is_fast and self._is_pipelining):
            return b""
        self._next = self._taken()
        return self._opening(self._next) if self._next is not None else b""

    def _pump(self) -> None:
        for _ in range(_PIECES_A_TURN):
            if self._stream is None or self._is_paused:
                return
            if self._current is not None and self._current.is_forgotten:
                self._break(None)
                return
            try:
                piece = next(self._stream, None)
            except (OSError, EOFError):  # without its final dot the hop does not keep what it has of the mail
                self._break(_UNREADABLE)
                return
            self._deadline = self._loop.time() + self._deadlines.piece
            if piece is None:
                self._stream = None
                self._phase = Phase.FINAL_DOT
                self._deadline = self._loop.time() + self._deadlines.final_dot
                self._write(b".\r\n")
            else:
                self._write(piece)
        if self._stream is not None and not self._is_paused:
            self._loop.call_soon(self._go_on, self._stream)

    def _go_on(self, stream: Iterator[bytes]) -> None:
        if stream is self._stream:  # not that of another mail: this one may have ended meanwhile
            self._pump()

    def pause_writing(self) -> None:
        self._is_paused = True

    def resume_writing(self) -> None:
        self._is_paused = False
        self._pump()


def _is_ok(line: bytes) -> bool:
    return line[:1] == b"2" and line[:3].isdigit()


def _failure(stage: str, line: bytes) -> Reply:
    """The hop's refusal; what is neither 4yz nor 5yz becomes a failure of ours that a retry may mend."""
    try:
        reply = parse_reply(line)
    except ValueError:
        return protocol_error(f"{stage} with", line)
    return reply if reply.is_transient or reply.is_permanent else protocol_error(f"{stage} with", line)


def _fill(parcel: Parcel, reply: Reply) -> None:
    parcel.replies = [known or reply for known in parcel.replies]


def _is_seven_bit(parcel: Parcel) -> bool:
    assert parcel.content is not None
    return parcel.content.isascii() and parcel.prefix.isascii()


def _has_ascii_addresses(parcel: Parcel) -> bool:
    return parcel.return_path.isascii() and all(recipient.address.isascii() for recipient in parcel.recipients)


def _is_plain(parcel: Parcel) -> bool:
    """Tell whether every hop can take it."""
    return _is_seven_bit(parcel) and _has_ascii_addresses(parcel)


def _needs_utf8(parcel: Parcel) -> bool:
    """RFC 6531 section 3.4: an address, or a header of mail submitted with SMTPUTF8, is not ASCII."""
    assert parcel.content is not None
    if not _has_ascii_addresses(parcel):
        return True
    return parcel.message.is_smtputf8 and not (parcel.prefix.isascii() and header_of(parcel.content).isascii())
