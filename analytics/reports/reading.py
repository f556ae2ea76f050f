"""Say what a mail from outside is. The one entrance for all reports, whoever fetched them.

Pure, and never raises: a report that cannot be read is Refused with a reason. Readers are asked in order; the first one
that knows the mail answers.
"""

from collections.abc import Callable

from analytics.reports.answers import read_auto_reply
from analytics.reports.bounces import read_bounce
from analytics.reports.letter import Letter, open_letter
from analytics.reports.report import NormalMail, Refused, Report

MAX_BYTES = 32 * 1024 * 1024
_READERS: tuple[Callable[[Letter], Report | None], ...] = (
    read_bounce,
    read_auto_reply,
)


def read(raw: bytes) -> Report:
    """Return what the mail is."""
    if len(raw) > MAX_BYTES:
        return Refused("mail", f"longer than {MAX_BYTES} bytes")
    try:
        letter = open_letter(raw)
        for reader in _READERS:
            if (report := reader(letter)) is not None:
                return report
    except (ValueError, LookupError, RecursionError) as error:  # hostile bytes must not stop whoever reads a pile
        return Refused("mail", f"unreadable: {type(error).__name__}")
    return NormalMail()
