"""Logging: one line per state change, key=value, to standard error. Never a credential or a body."""

import contextlib
import logging
import os
import shutil
import sys
from pathlib import Path
from typing import Any

_messages = logging.getLogger("mailweir.messages")


MAX_BYTES = 10_000_000  # of a file of log


def show_messages(is_wanted: bool) -> None:
    """Log each message's way too: at thousands a second the lines would cost more than the mail."""
    _messages.setLevel(logging.INFO if is_wanted else logging.WARNING)


def setup(process: str) -> None:
    """Send this process's log to standard error as `time level process room: text`."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        _OneLine(f"%(asctime)s.%(msecs)03d %(levelname)s {process} %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S")
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    # aiosmtpd logs each command, uvicorn each request: at our rates both cost more than the work they describe
    for noisy in ("mail.debug", "asyncio", "uvicorn", "httpx2", "httpcore2", "apscheduler", "alembic"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    # and it warns of each unknown command with the client's own words, which may be a password gone astray
    logging.getLogger("mail.log").setLevel(logging.ERROR)


def turn(path: Path) -> None:
    """Keep a file of log that has grown beside a new one.

    The program goes on with its file, so that is emptied: its lines are appended (O_APPEND), and one that is written at
    this very moment may be lost.
    """
    with contextlib.suppress(OSError):  # none yet, or a full disk
        if path.stat().st_size > MAX_BYTES:
            shutil.copyfile(path, path.with_suffix(".log.1"))
            os.truncate(path, 0)


class _OneLine(logging.Formatter):
    """Keeps what strangers wrote from looking like a line of its own, and from steering the terminal it is read in."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        if not record.message.isprintable():
            record.message = "".join(_shown(character) for character in record.message)
        return super().formatMessage(record)

    def formatException(self, ei: Any) -> str:
        """The traceback, indented: an exception's text may have lines."""
        lines = super().formatException(ei).splitlines()
        return "\n".join("    " + "".join(map(_shown, line)) for line in lines)


def _shown(character: str) -> str:
    return character if character.isprintable() else repr(character)[1:-1]
