"""One relay per data folder: a lock that the kernel drops when its holder dies."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class AlreadyRunning(Exception):
    """Another process works on this data folder."""

    def __init__(self, node_dir: Path, pid: int | None) -> None:
        by = f"process {pid}" if pid else "another process"
        super().__init__(
            f"{by} already runs a relay on {node_dir}; stop it first, or give this one another `dir` in its settings"
        )
        self.pid = pid


@contextmanager
def acquire(node_dir: Path, patience_seconds: float = 0.0) -> Iterator[None]:
    """Hold the data folder alone; wait so long for who has it now. Raises AlreadyRunning."""
    node_dir.mkdir(parents=True, exist_ok=True)
    file = os.open(node_dir / "relay.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    try:
        deadline = time.monotonic() + patience_seconds
        while not _is_locked(file):
            if time.monotonic() >= deadline:
                raise AlreadyRunning(node_dir, _holder(file))
            time.sleep(0.05)
        # The file stays behind for ever: removing it would let two processes lock two files of the same name.
        os.ftruncate(file, 0)
        os.pwrite(file, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(file)


def _is_locked(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _holder(file: int) -> int | None:
    text = os.pread(file, 32, 0).strip()
    return int(text) if text.isdigit() else None
