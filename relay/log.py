"""Logging: one line per state change, key=value, to standard error. Never a credential or a body."""

import logging
import sys

_messages = logging.getLogger("mailweir.messages")


def show_messages(is_wanted: bool) -> None:
    """Log each message's way too: at thousands a second the lines would cost more than the mail."""
    _messages.setLevel(logging.INFO if is_wanted else logging.WARNING)


def setup(process: str) -> None:
    """Send this process's log to standard error as `time level process room: text`."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        logging.Formatter(f"%(asctime)s.%(msecs)03d %(levelname)s {process} %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S")
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    # aiosmtpd logs each command, uvicorn each request: at our rates both cost more than the work they describe
    for noisy in ("mail.debug", "asyncio", "uvicorn", "httpx2", "httpcore2", "apscheduler", "alembic"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    # and it warns of each unknown command with the client's own words, which may be a password gone astray
    logging.getLogger("mail.log").setLevel(logging.ERROR)
