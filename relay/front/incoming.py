"""One message under way: in memory while it is small, beyond that its body goes to a segment of its own as it comes.

Must never hold more of a large message than its header block and one piece, whatever the client sends; and must take
all of a message that is refused, as its end is where the session goes on.
"""

from collections.abc import Awaitable, Callable

from relay.front.canonical import Canonicaliser, canonical, header_length
from relay.reply import DISK_FULL, PermanentError, RelayError, Reply, TransientError
from relay.spool.entry import SpoolFull
from relay.spool.large import LARGE_BYTES, LargeFile

_MAX_PIECES = 1024  # chunks of one byte each would take forty times their size

TOO_BIG = Reply(552, "5.3.4", "message too big")

OpenLarge = Callable[[int], Awaitable[LargeFile]]


class Incoming:
    """The raw bytes of one message in, its canonical form out; any cutting gives the same."""

    def __init__(
        self,
        limit_bytes: int,
        open_large: OpenLarge,
        *,
        is_stuffed: bool,
        normalises: bool,
        memory_bytes: int = LARGE_BYTES,
    ) -> None:
        """`memory_bytes`: a message up to this size stays in memory, a larger one goes on in pieces of that size."""
        self._limit, self._open_large, self.memory_bytes = limit_bytes, open_large, memory_bytes
        self._is_stuffed, self._normalises = is_stuffed, normalises
        self._pieces: list[bytes] = []
        self._held = self._size = 0
        self._form: Canonicaliser | None = None  # None: small so far
        self._head = bytearray()
        self._large: LargeFile | None = None
        self._failure: RelayError | None = None  # of the header or the disk

    @property
    def refusal(self) -> Reply | None:
        """Why the message will not be taken, as far as it is known."""
        if self._size > self._limit:
            return TOO_BIG
        known = self._form.refusal if self._form else None
        return known or (self._failure.reply if self._failure else None)

    async def take(self, raw: bytes) -> None:
        """Take the next raw bytes. Returns when there is room for more: this is what holds a fast client back."""
        self._size += len(raw)
        if self._size > self._limit:
            self._drop()
            return
        self._pieces.append(raw)
        self._held += len(raw)
        if self._size > self.memory_bytes <= self._held:
            await self._stream(self._together())
        elif len(self._pieces) >= _MAX_PIECES:
            self._pieces = [b"".join(self._pieces)]

    async def finish(self) -> tuple[bytes, LargeFile | None]:
        """Return the whole message; of a large one the header block and the file with its body, not sealed yet.

        Raises PermanentError for what is not to be taken, TransientError for a full disk.
        """
        if self._size > self._limit:
            raise PermanentError(TOO_BIG)
        if self._size <= self.memory_bytes:
            return canonical(self._together(), is_stuffed=self._is_stuffed, normalises=self._normalises), None
        await self._stream(self._together(), is_last=True)
        assert self._form is not None
        if refusal := self._form.refusal:
            raise PermanentError(refusal)
        if self._failure:
            raise self._failure
        head, large = bytes(self._head), self._large
        self._large = None
        return head, large

    def discard(self) -> None:
        """Forget the message, and remove its file."""
        self._drop()

    async def _stream(self, raw: bytes, *, is_last: bool = False) -> None:
        if self._form is None:
            self._form = Canonicaliser(is_stuffed=self._is_stuffed, normalises=self._normalises)
        ready = self._form.feed(raw)
        if is_last:
            ready += self._form.close()
        if self._form.refusal or self._failure:
            self._drop()
            return
        try:
            await self._put(ready, is_last=is_last)
        except PermanentError as error:
            self._failure = error
        except SpoolFull:
            self._failure = TransientError(DISK_FULL)
        if self._failure:
            self._drop()

    async def _put(self, ready: bytes, *, is_last: bool) -> None:
        if self._large is None:
            self._head += ready
            end = header_length(self._head, is_whole=is_last)
            if end is None:
                return
            ready = bytes(memoryview(self._head)[end:])
            del self._head[end:]
            self._large = await self._open_large(end)
        await self._large.write(ready)

    def _together(self) -> bytes:
        whole = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        self._pieces, self._held = [], 0
        return whole

    def _drop(self) -> None:
        self._pieces, self._held, self._head = [], 0, bytearray()
        if self._large is not None:
            self._large.close()
            self._large = None
