"""Say what a mail from outside is. The one entrance for all reports, whoever fetched them.

Pure, and never raises: a report that cannot be read is Refused with a reason. Readers are asked in order; the first one
that knows the mail answers.
"""

from collections.abc import Callable, Sequence
from email.errors import MessageError

from analytics.reports.aggregates import is_bare, read_attached, read_files
from analytics.reports.answers import read_auto_reply
from analytics.reports.bounces import read_bounce
from analytics.reports.feedback import read_feedback
from analytics.reports.letter import Letter, open_letter
from analytics.reports.notifications import read_notification
from analytics.reports.report import NormalMail, Refused, Report

MAX_BYTES = 32 * 1024 * 1024
_READERS: tuple[Callable[[Letter], Report | None], ...] = (
    read_feedback,
    read_notification,
    read_bounce,
    read_auto_reply,
)


def read(raw: bytes) -> Report:
    """Return what the mail is; of several reports in it the first."""
    return read_each(raw)[0]


def read_each(raw: bytes) -> Sequence[Report]:
    """Return what the mail, or the bare file of an aggregate report, is: one report but where several are attached."""
    if is_bare(raw):
        return read_files(raw)  # it has limits of its own
    if len(raw) > MAX_BYTES:
        return [Refused("mail", f"longer than {MAX_BYTES} bytes")]
    try:
        letter = open_letter(raw)
        if aggregates := read_attached(letter):
            return aggregates
        for reader in _READERS:
            if (report := reader(letter)) is not None:
                return [report]
    except (
        ValueError,
        LookupError,
        RecursionError,
        MessageError,
    ) as error:  # hostile bytes must not stop whoever reads a pile
        return [Refused("mail", f"unreadable: {type(error).__name__}")]
    return [NormalMail()]
