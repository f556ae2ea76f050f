"""The lock of those who take a backup of a data folder: one at a time, and known to be gone when its holder dies."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LOCK = "backup.lock"


class AnotherBackup(Exception):
    """Another backup of this data folder is being taken."""


@contextmanager
def taking(folder: Path) -> Iterator[None]:
    """Hold the lock. Raises AnotherBackup, OSError."""
    file = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    try:
        owner = folder.stat()
        if os.geteuid() == 0:  # root takes it for a relay that runs as somebody else, who looks at this file
            os.fchown(file, owner.st_uid, owner.st_gid)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AnotherBackup(f"{folder}: another backup is being taken; wait for its end") from None
        yield
    finally:
        os.close(file)


def is_taken(folder: Path) -> bool:
    """Tell whether a backup is being taken now."""
    try:
        file = os.open(folder / LOCK, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(file)
    return False
