"""Answers by machines that are no reports: holiday notices, receipts, tickets (RFC 3834, RFC 8098)."""

from analytics.reports.letter import Letter
from analytics.reports.phrases import phrases
from analytics.reports.report import AutoReply

_RESPONDER = ("X-Autoreply", "X-Autorespond", "X-Autoresponder", "X-Auto-Response", "X-Mail-Autoreply", "X-Vacation")


def read_auto_reply(letter: Letter) -> AutoReply | None:
    """Return the answer a machine gave for a person; None for other mail.

    Lists and newsletters are auto-generated too, but answer nobody: `auto-generated` is none.
    """
    submitted = letter.header("Auto-Submitted").lower()
    if submitted.startswith("auto-replied"):
        return AutoReply("Auto-Submitted")
    if sign := responder(letter):
        return AutoReply(sign)
    if "oof" in letter.header("X-Auto-Response-Suppress").lower() and submitted:
        return AutoReply("X-Auto-Response-Suppress")
    if letter.header("Precedence").lower() in ("auto_reply", "auto-reply"):
        return AutoReply("Precedence")
    if letter.of_type("message/disposition-notification"):
        return AutoReply("receipt")
    return None


def responder(letter: Letter) -> str:
    """Return what shows that a responder for people wrote it, so that it is no bounce; "" without such a sign.

    Auto-Submitted is none: bounces say it of themselves too.
    """
    sign = next((name for name in _RESPONDER if letter.header(name)), "")
    return sign or ("subject" if phrases("answer").match(letter.header("Subject").strip()) else "")
