"""The columns of other providers' suppression lists, and what their words mean. Pure.

Exports, and the fields of the APIs that scripts write to CSV. Names are compared in lower case, without spaces, hyphens
and underscores: `Email Address`, `email_address` and `EmailAddress` are one.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from relay.control.suppression.suppressed import Reason

SKIPPED = ""  # a reason for which nobody should be suppressed for good


@dataclass(frozen=True, slots=True)
class Format:
    """One provider's list. `marks`: columns that only it has; all must be there. `reason` names the column that says
    why, `words` what stands in it; `usual` is the reason where the file says none.
    """

    name: str
    marks: frozenset[str]
    address: str
    reason: str = ""
    words: Mapping[str, str] = field(default_factory=dict)
    usual: Reason | None = None
    evidence: Sequence[str] = ()
    created: str = ""
    ends: str = ""


_BOUNCE, _COMPLAINT, _UNSUBSCRIBE, _HAND = Reason.HARD_BOUNCE, Reason.COMPLAINT, Reason.UNSUBSCRIBE, Reason.BY_HAND

# The first that fits is it: those with more marks stand first.
FORMATS = (
    Format(
        "mailweir", frozenset({"address", "evidence"}), "address", "reason", {one.value: one.value for one in Reason},
        evidence=("evidence",), created="createdat", ends="endsat",
    ),
    Format(
        "mailchannels", frozenset({"recipient", "suppressiontypes"}), "recipient", "source",
        {
            "hardbounce": _BOUNCE, "spamcomplaint": _COMPLAINT, "unsubscribelink": _UNSUBSCRIBE,
            "listunsubscribe": _UNSUBSCRIBE, "api": _HAND, "console": _HAND,
        },
        usual=_HAND, evidence=("source", "notes"), created="createdat",
    ),
    Format(
        "sparkpost", frozenset({"recipient", "type", "source"}), "recipient", "source",
        {
            "spamcomplaint": _COMPLAINT, "bouncerule": _BOUNCE, "unsubscribelink": _UNSUBSCRIBE,
            "listunsubscribe": _UNSUBSCRIBE, "manuallyadded": _HAND, "compliance": _HAND,
        },
        usual=_HAND, evidence=("source", "description"), created="created",
    ),
    Format(
        "postmark", frozenset({"emailaddress", "suppressionreason"}), "emailaddress", "suppressionreason",
        {"hardbounce": _BOUNCE, "spamcomplaint": _COMPLAINT, "manualsuppression": _UNSUBSCRIBE},
        evidence=("suppressionreason", "origin"), created="createdat",
    ),
    Format(
        "ses", frozenset({"emailaddress", "reason"}), "emailaddress", "reason",
        {"bounce": _BOUNCE, "complaint": _COMPLAINT}, evidence=("reason",), created="lastupdatetime",
    ),
    Format(
        "mandrill", frozenset({"email", "reason", "detail", "expiresat"}), "email", "reason",
        {
            "hardbounce": _BOUNCE, "softbounce": SKIPPED, "spam": _COMPLAINT, "unsub": _UNSUBSCRIBE, "custom": _HAND,
            "invalid": _BOUNCE, "invalidsender": SKIPPED, "testmodelimit": SKIPPED, "rule": _HAND,
        },
        evidence=("reason", "detail"), created="createdat", ends="expiresat",
    ),
    Format("mailchimp", frozenset({"emailaddress", "unsubtime"}), "emailaddress", usual=_UNSUBSCRIBE,
           evidence=("unsubreason", "unsubreasonother"), created="unsubtime"),
    Format("mailchimp", frozenset({"emailaddress", "cleantime"}), "emailaddress", usual=_BOUNCE,
           evidence=("cleancampaigntitle",), created="cleantime"),
    # 4yz: what SendGrid calls a block, of its own address or of one mail
    Format("sendgrid", frozenset({"email", "created", "status", "reason"}), "email", "status",
           {"4": SKIPPED, "5": _BOUNCE}, usual=_BOUNCE, evidence=("status", "reason"), created="created"),
    Format("sendgrid", frozenset({"email", "created", "ip"}), "email", usual=_COMPLAINT, created="created"),
    Format("sendgrid", frozenset({"email", "created", "reason"}), "email", usual=_BOUNCE, evidence=("reason",),
           created="created"),
    Format("sendgrid", frozenset({"email", "created"}), "email", usual=_UNSUBSCRIBE, created="created"),
    Format("mailgun", frozenset({"address", "code", "error"}), "address", "code", {"4": SKIPPED, "5": _BOUNCE},
           usual=_BOUNCE, evidence=("code", "error"), created="createdat"),
    Format("mailgun", frozenset({"address", "tags"}), "address", usual=_UNSUBSCRIBE, evidence=("tags",),
           created="createdat"),
    Format("mailgun", frozenset({"address", "tag"}), "address", usual=_UNSUBSCRIBE, evidence=("tag",),
           created="createdat"),
    Format("mailgun", frozenset({"address", "count"}), "address", usual=_COMPLAINT, created="createdat"),
)  # fmt: skip
_ADDRESSES = ("address", "email", "emailaddress", "recipient")
NAMES = tuple(dict.fromkeys(one.name for one in FORMATS))


def plain(text: str) -> str:
    """A column's name, or a reason, as it is compared.

    >>> plain("Email Address"), plain("hard-bounce"), plain("SUPPRESSION_REASON")
    ('emailaddress', 'hardbounce', 'suppressionreason')
    """
    return re.sub(r"[\s_-]+", "", text.strip().lower())


def recognised(columns: Sequence[str], name: str = "") -> Format | None:
    """Return the format of a file with these columns, as `plain` writes them; of a provider only where one is named.

    A file with an address and nothing known beside it is a plain list. None: no column has addresses.
    """
    have = frozenset(columns)
    for one in FORMATS:
        if one.marks <= have and name in ("", one.name):
            return one
    address = next((column for column in _ADDRESSES if column in have), None)
    if address is None or name:
        return None
    words = {one.value.replace("_", ""): one.value for one in Reason}
    return Format("list", frozenset(), address, "reason", words, created="createdat", ends="endsat")


def meaning(format_: Format, said: str) -> str | None:
    """Return the reason that a word of a file means, SKIPPED where nobody is to be suppressed for it; None: unknown.

    Codes are known by their first digit.
    """
    word = plain(said)
    if word in format_.words:
        return format_.words[word]
    return format_.words.get(word[:1]) if word[:1].isdigit() else None
