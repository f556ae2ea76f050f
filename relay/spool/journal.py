"""The journal: append-only JSON Lines, closed by rename, read by nobody before that.

The caller encodes (no object crosses threads), one thread writes. A file is `NAME.jsonl.open` while it grows and
`NAME.jsonl` once it is complete and fsynced; NAMEs sort in the order of writing. Records that must be on disk before
something else happens go through `write_durably`. This module must never interpret what it writes.
"""

import itertools
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import TypedDict, TypeVar

from relay.clock import Clock
from relay.events import Record, encode
from relay.spool.segments import sync_folder

_log = logging.getLogger("mailweir.journal")
_T = TypeVar("_T")

MAX_BYTES = 16 * 1024 * 1024
CLOSE_SECONDS = 1.0
GATHER_SECONDS = 0.05
_URGENT_SECONDS = 0.2  # after the last file was closed: five files a second at most, however many are urgent


class Stamp(TypedDict):
    """What every record starts with: `Delivery(**journal.stamp(), ...)`."""

    node: str
    boot: str
    seq: int
    logged_at: datetime


class Journal:
    """The one writer of `folder/<writer>-<node>-<boot>-<number>.jsonl`. Raises OSError at start if it cannot write."""

    def __init__(self, folder: Path, writer: str, node: str, clock: Clock) -> None:
        self._folder, self._writer, self._node, self._clock = folder, writer, node, clock
        self._boot = f"{clock.now():%Y%m%dT%H%M%S%f}Z-{os.getpid()}"
        self._numbers = itertools.count(1)  # next() is whole: threads never get the same number
        self._number = 0
        self._waiting: deque[bytes] = deque()
        self._something = threading.Event()
        self._end = threading.Event()
        self._is_urgent = False
        self._closed_at = 0.0  # of the last file; by the monotonic clock
        self._lock = threading.Lock()  # guards everything below, and the order in which lines leave _waiting
        self._unwritten = b""
        self._is_failing = False
        self._file: int | None = None
        self._path = folder
        self._size = 0
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)

    @property
    def folder(self) -> Path:
        return self._folder

    def start(self) -> None:
        """Close what a crashed run of this writer left open, and start the writer thread."""
        if not self._folder.is_dir():
            self._folder.mkdir(parents=True, exist_ok=True)  # analytics may make it just now
            sync_folder(self._folder.parent)
        for left in sorted(self._folder.glob(f"{self._writer}-{self._node}-*.jsonl.open")):
            _close_after_crash(left)
        self._thread.start()

    def close(self) -> None:
        """Write everything, fsync, close the file by rename and end the thread."""
        self._end.set()
        self._something.set()
        self._thread.join()
        with self._lock:
            try:
                self._write_waiting()
            except OSError as error:  # what the spool does not know already is lost: refusals, deferrals
                lines = self._unwritten.count(b"\n")
                _log.error("journal closed with lines unwritten lines=%d error=%s", lines, error)
            self._rotate()

    def stamp(self) -> Stamp:
        return {"node": self._node, "boot": self._boot, "seq": next(self._numbers), "logged_at": self._clock.now()}

    def append(self, record: Record) -> None:
        """Have `record` written soon; on disk within about a second."""
        self.append_encoded(encode(record) + b"\n")

    def hasten(self) -> None:
        """Have the file closed at once, or a fraction of a second after the last: somebody waits for its records."""
        self._is_urgent = True

    def append_encoded(self, line: bytes) -> None:
        """Like `append`, for a line that `encode` made before, ended by LF."""
        self._waiting.append(line)
        if not self._something.is_set():
            self._something.set()

    def write_durably(self, lines: Iterable[bytes]) -> None:
        """Write encoded lines behind all that was appended before; return after fsync. Called by the commit thread.

        Raises OSError (a full disk); the lines are then still kept, and are written when there is room.
        """
        self._waiting.extend(lines)
        with self._lock:
            self._write_waiting()
            if self._file is not None:
                os.fdatasync(self._file)
        self._something.set()  # so that the thread closes the file in time

    def still(self, action: Callable[[Path], _T]) -> _T:
        """Have all that was appended on disk, and return what `action` says of the folder before more is written.

        Raises OSError, also that of `action`.
        """
        with self._lock:
            self._write_waiting()
            if self._file is not None:
                os.fdatasync(self._file)
            return action(self._folder)

    def _run(self) -> None:
        # The thread sleeps until a record comes, lets others gather so that many share a write, and closes the file
        # about a second after its first record: an idle relay writes no files.
        while not self._end.is_set():
            self._something.wait()
            began = time.monotonic()
            while not self._end.wait(GATHER_SECONDS):
                due = self._closed_at + _URGENT_SECONDS if self._is_urgent else began + CLOSE_SECONDS
                if time.monotonic() >= due:
                    break
                self._attempt(self._write_waiting)
            self._is_urgent = False
            self._something.clear()
            self._attempt(self._write_waiting)
            self._attempt(self._rotate)

    def _attempt(self, action: Callable[[], None]) -> None:
        try:
            with self._lock:
                action()
        except OSError as error:  # a full disk: the lines are kept and tried again; the spool refuses mail by itself
            if not self._is_failing:  # once, not at each try: the log may lie on the same disk
                _log.error("journal not written error=%s", error)
            self._is_failing = True
            self._something.set()
        else:
            if self._is_failing and not (self._waiting or self._unwritten):
                _log.info("journal written again")
                self._is_failing = False

    def _write_waiting(self) -> None:
        while self._waiting:
            self._unwritten += b"".join(self._waiting.popleft() for _ in range(len(self._waiting)))
        if not self._unwritten:
            return
        file = self._open() if self._file is None else self._file
        try:
            view = memoryview(self._unwritten)
            while view:
                view = view[os.write(file, view) :]
        except OSError:
            os.ftruncate(file, self._size)  # half a line would spoil the next one
            raise
        self._size += len(self._unwritten)
        self._unwritten = b""
        if self._size >= MAX_BYTES:
            self._rotate()

    def _open(self) -> int:
        name = f"{self._writer}-{self._node}-{self._boot}-{self._number + 1:08d}.jsonl.open"
        self._file = os.open(self._folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o640)
        self._path = self._folder / name
        self._number += 1
        self._size = 0
        sync_folder(self._folder)  # records are durable only if their file has a name; its rename may be lost
        return self._file

    def _rotate(self) -> None:
        if self._file is None or (self._unwritten and not self._size):  # a full disk must not gather empty files
            return
        os.fdatasync(self._file)
        os.close(self._file)
        self._file = None
        self._path.rename(self._path.with_suffix(""))
        self._closed_at = time.monotonic()


def _close_after_crash(path: Path) -> None:
    """Cut a torn last line and close the file, so that its whole lines are ingested."""
    data = path.read_bytes()
    whole = data.rfind(b"\n") + 1
    with path.open("r+b") as file:
        file.truncate(whole)
        os.fsync(file.fileno())
    if whole:
        path.rename(path.with_suffix(""))
    else:
        path.unlink()
    _log.info("journal closed after a crash file=%s torn_bytes=%d", path.name, len(data) - whole)
