"""The simulated mailbox providers: their names, their words, and how many of their users are gone or complain."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Provider:
    """A simulated mailbox provider. Shares lie in [0, 1]; `words` are its replies, see receivers.py."""

    name: str
    domains: tuple[str, ...]
    weight: float
    ready: str = "2.0.0 OK queued"
    unknown: str = "5.1.1 User unknown in virtual mailbox table"
    greylisted: str = "4.7.1 Greylisted, please try again in 300 seconds"
    unknown_share: float = 0.015
    greylist_share: float = 0.0
    complaint_share: float = 0.0002


PROVIDERS = (
    Provider(
        "gmail.example",
        ("gmail.example",),
        0.36,
        ready="2.0.0 OK  1764000000 d2e1a72fcca58-7c3a gsmtp",
        unknown="5.1.1 The email account that you tried to reach does not exist. gsmtp",
        complaint_share=0.0001,
    ),
    Provider(
        "outlook.example",
        ("outlook.example", "hotmail.example"),
        0.2,
        ready="2.6.0 Queued mail for delivery",
        unknown="5.5.0 Requested action not taken: mailbox unavailable (S2017062302).",
        complaint_share=0.0003,
    ),
    Provider(
        "yahoo.example",
        ("yahoo.example",),
        0.12,
        ready="ok dirdel",
        unknown="5.1.1 This user doesn't have a yahoo.example account [-9]",
        complaint_share=0.0006,
    ),
    Provider(
        "icloud.example",
        ("icloud.example",),
        0.08,
        ready="2.5.0 Ok.",
        unknown="5.1.1 unknown or illegal alias",
    ),
    Provider(
        "webpost.example",
        ("webpost.example",),
        0.12,
        ready="2.0.0 Requested mail action okay, completed",
        unknown="5.1.1 Requested action not taken: mailbox unavailable",
        greylisted="4.7.1 Greylisting in action, please come back later",
        greylist_share=0.04,
    ),
    Provider(
        "orange.example",
        ("orange.example",),
        0.06,
        ready="2.0.0 mail accepted for delivery",
        unknown="5.1.1 Adresse d au moins un destinataire invalide. Invalid recipient. OFR204_418",
    ),
    Provider(
        "office.example",
        ("kontor.example", "baumann-gmbh.example", "nova-legal.example"),
        0.06,
        ready="2.0.0 Ok: queued",
        unknown="5.1.1 Recipient address rejected: User unknown",
        greylist_share=0.05,
    ),
)
