"""SMTP replies, and the two errors that carry one.

RelayError
+-- TransientError   a retry may help: 4yz
+-- PermanentError   it will not: 5yz
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reply:
    """One SMTP reply: code, enhanced status code (RFC 3463, "" when the peer sent none) and text."""

    code: int
    enhanced: str
    text: str

    @property
    def is_success(self) -> bool:
        return 200 <= self.code < 300

    @property
    def is_transient(self) -> bool:
        return 400 <= self.code < 500

    @property
    def is_permanent(self) -> bool:
        return 500 <= self.code < 600

    def __str__(self) -> str:
        return " ".join(part for part in (str(self.code), self.enhanced, self.text) if part)


DISK_FULL = Reply(452, "4.3.1", "insufficient system storage, try again later")


class RelayError(Exception):
    """A failure with a reply fit for the peer; the cause goes to the log."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(str(reply))
        self.reply = reply


class TransientError(RelayError):
    """A retry may help."""


class PermanentError(RelayError):
    """A retry cannot help."""
