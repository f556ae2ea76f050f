"""The verdict on a message that has come round too often: before all others, as nothing else is worth a look."""

from relay.events import Action, TraceStep
from relay.policy.verdict.judge import Verdict
from relay.reply import Reply

MAX_RECEIVED = 100  # RFC 5321 section 6.3: not below 100

_LOOP = Reply(554, "5.4.6", "too many Received headers: mail loop")


def loop_verdict(count: int) -> Verdict:
    """The verdict on a message that has come round MAX_RECEIVED times."""
    step = TraceStep("mail_loop", True, f"{count} Received headers, refused from {MAX_RECEIVED}")
    return Verdict(Action.REJECT, "mail_loop", _LOOP, [step])
