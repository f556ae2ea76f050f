"""What analytics asks about what came back, and what the control API answers."""

from typing import Literal

import msgspec

CLAIMS_MAX, ROWS_MAX = 500, 500


class Claim(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something in a report that may be ours: a return path, the value of X-Mailweir-Ref or of Feedback-ID.

    The last two are checked against the message, account and sender they are said to be about.
    """

    kind: Literal["return_path", "reference", "feedback_id"]
    value: str
    message_id: str = ""
    account: str = ""
    sender: str = ""


class ClaimOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """POST /v1/proofs."""

    claims: list[Claim]


class Proved(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a claim is genuine; if so, what a return path says: its message and recipient."""

    is_genuine: bool = False
    message_id: str = ""
    account: str = ""
    reseller: str = ""
    sender: str = ""
    recipient_id: int = 0
    recipient: str = ""


class ReturnedMail(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One recipient that a report is about, traced to an account's message by proof."""

    account: str
    address: str
    reason: Literal["hard_bounce", "complaint"]
    message_id: str
    enhanced: str = ""
    said: str = ""


class ReturnedOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """POST /v1/returned: suppress by the relay's rule."""

    rows: list[ReturnedMail]


class Suppressions(msgspec.Struct, frozen=True, kw_only=True):
    """How many addresses were put on a list; the others stand there already."""

    suppressed: int
