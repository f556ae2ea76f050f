"""How a message comes over an SMTP session: by DATA, or by BDAT in chunks (RFC 3030); afterwards all is one.

Whatever is wrong with a message, its bytes are read to their end and the session stays in step; only a chunk of unknown
length ends it. A client slower than `smtp.min_bytes_per_second` is cut off with 421.
"""

import logging

from relay.envelope import Submission
from relay.front.conversation import TRY_LATER
from relay.front.data import read_chunk, read_data
from relay.front.incoming import Incoming
from relay.front.visit import Visit
from relay.reply import RelayError, Reply
from relay.spool.large import LargeFile

_log = logging.getLogger("mailweir.front")

_MAX_DIGITS = 18  # more is no size that anybody means
_BAD_CHUNK = Reply(501, "5.5.4", "syntax: BDAT size [LAST]")
_OUT_OF_STEP = Reply(421, "4.5.0", "a chunk whose end is not known, closing connection")
_MIXED = Reply(503, "5.5.1", "no DATA after BDAT")


class Transfer(Visit):
    """The part of a session that takes messages in."""

    _incoming: Incoming | None = None  # the message that is coming, also between two of its chunks
    _progress = 0

    async def smtp_DATA(self, arg: str | None) -> None:
        if arg:
            await self._answer("501 5.5.4 DATA takes no argument")
        elif refusal := _MIXED if self._incoming else self._not_ready():
            await self._answer(refusal)
        else:
            await self.push("354 end with <CR><LF>.<CR><LF>")
            incoming = self._incoming = self._begin_message(is_stuffed=True)
            self._progress = 0
            await read_data(self._reader, incoming, self._note_bytes)
            await self._end_message(incoming)

    async def smtp_BDAT(self, arg: str | None) -> None:
        size, _, rest = (arg or "").partition(" ")
        if not (size.isascii() and size.isdigit() and len(size) <= _MAX_DIGITS):
            await self._lose_step(_BAD_CHUNK)
        if self._replies:
            await self._flush()  # they must not wait for a chunk that is still to come
        is_last = rest.strip().upper() == "LAST"
        if refusal := _BAD_CHUNK if rest.strip() and not is_last else self._not_ready():
            await self._skip_chunk(int(size), refusal)
        else:
            await self._take_chunk(int(size), is_last=is_last)

    async def _take_chunk(self, size: int, *, is_last: bool) -> None:
        incoming = self._incoming = self._incoming or self._begin_message(is_stuffed=False)
        self._progress = 0
        await read_chunk(self._reader, size, incoming, self._note_bytes)
        if is_last:
            await self._end_message(incoming)
        elif refusal := incoming.refusal:
            # the transaction ends here: what the client has sent already meets "need RCPT" (RFC 3030 section 2)
            self._note("data", refusal)
            self._set_post_data_state()
            await self._answer(refusal)
        else:
            await self._answer(f"250 2.0.0 {size} octets received")

    async def _skip_chunk(self, size: int, refusal: Reply) -> None:
        if size > self.way.settings.max_size_bytes:  # of nobody's transaction, and it could go on for ever
            await self._lose_step(refusal)
        self._progress = 0
        await read_chunk(self._reader, size, None, self._note_bytes)
        await self._answer(refusal)

    async def _lose_step(self, refusal: Reply) -> None:
        """Refuse and close: nobody knows where the next command begins. Always raises ConnectionResetError."""
        await self.push(str(refusal))
        self.close_with(_OUT_OF_STEP)
        raise ConnectionResetError("out of step")

    def _not_ready(self) -> Reply | None:
        """Why no message can come now."""
        assert self.envelope is not None
        if self.envelope.rcpt_tos:
            return None
        is_open = self.envelope.mail_from is not None
        return Reply(554, "5.5.1", "no valid recipients") if is_open else Reply(503, "5.5.1", "need RCPT command")

    def _begin_message(self, *, is_stuffed: bool) -> Incoming:
        account = self._sender_account()
        return Incoming(
            self.way.settings.max_size_bytes,
            self.way.open_large,
            is_stuffed=is_stuffed,
            normalises=account is not None and account.normalises_line_ends,
        )

    def _note_bytes(self, count: int) -> None:
        """Be patient for another `smtp.timeout_seconds` each time that so much has come as is owed in that time."""
        self._progress += count
        settings = self.way.settings
        if self._progress >= settings.min_bytes_per_second * settings.timeout_seconds:
            self._progress = 0
            self._reset_timeout()

    async def _end_message(self, incoming: Incoming) -> None:
        self._stop_timeout()  # from here on it is our own time: to get 25 MB on a busy disk takes some
        try:
            reply = await self._receive(incoming)
        finally:
            self._set_post_data_state()
        self._reset_timeout()
        await self._answer(reply)
        self._message_ended()

    async def _receive(self, incoming: Incoming) -> Reply:
        large: LargeFile | None = None
        try:
            content, large = await incoming.finish()
            submission = self._submission(content, large)
        except RelayError as error:
            if large is not None:
                large.close()
            self._note("data", error.reply)
            return error.reply
        try:
            return await self.way.receive(submission)
        except RelayError as error:
            return error.reply
        except Exception:
            # one broken message must not end the session; unknown means transient
            _log.exception("reception failed client=%s", self.ip)
            if large is not None:
                large.close()
            self.way.on_refusal("data", TRY_LATER, None)
            return TRY_LATER

    def _set_post_data_state(self) -> None:
        super()._set_post_data_state()  # type: ignore[no-untyped-call]
        self._drop_message()

    def _drop_message(self) -> None:
        """Forget the message that was coming."""
        if self._incoming is not None:
            self._incoming.discard()
            self._incoming = None

    def connection_lost(self, error: Exception | None) -> None:
        self._drop_message()
        super().connection_lost(error)

    # ---- what the rest of the session knows ----

    def _submission(self, content: bytes, large: LargeFile | None = None) -> Submission:
        """The message with its envelope. Raises PermanentError when its sender may send no longer."""
        raise NotImplementedError

    def _note(self, stage: str, reply: Reply, recipient: str = "") -> None:
        raise NotImplementedError

    def _message_ended(self) -> None:
        """The reply is written."""
        raise NotImplementedError
