"""What is in force towards a destination: each effect with the rule, the reply that set it, and its end."""

import re

import msgspec

from relay.delivery.replies import Category, OwnReply, classify
from relay.delivery.shaping.rules import Kind
from relay.reply import Reply

FOREVER = 253_370_764_800.0  # the year 9999: until somebody ends it

# Order matters: the texts about a domain may end in "mail sent from your IP address has been temporarily rate limited"
_BLAMES = (
    ("dkim", re.compile(r"dkim domain", re.IGNORECASE)),
    ("spf", re.compile(r"spf domain", re.IGNORECASE)),
    ("url", re.compile(r"url domains?|mail with the url", re.IGNORECASE)),
    ("message", re.compile(r"same message-id", re.IGNORECASE)),
    ("netblock", re.compile(r"net ?block", re.IGNORECASE)),
    ("ip", re.compile(r"your ip\b|sending ip|ip address", re.IGNORECASE)),
)
_SENDERS_OWN = frozenset({"dkim", "spf", "url", "message"})
# One mailbox gets too much: nobody else's mail has to wait for that
_OF_ONE_MAILBOX = re.compile(r"receiving mail|(user|mailbox|recipient) .{0,30}(rate|too (many|quickly))", re.IGNORECASE)

_OF_CONNECTIONS = re.compile(r"connections?\b|connexions\b|sessions?\b|concurren", re.IGNORECASE)


class ShapingEffect(msgspec.Struct, frozen=True, kw_only=True):
    """One effect; `source` "": all egress sources. `value` as in Kind. Instants are Unix seconds.

    `rule`: its id, "aimd" or "google" for what is learned, "by-hand". `reply`: the text that set it, or why somebody
    did. `author` "": a rule. `times`: how often the rule fired since.
    `blames`: whom the reply names: "ip", "netblock", or what is the sender's own: the "dkim",
    "spf" or "url" domain, "message"; "" when it names nobody, which means the address and the sender's domains alike.
    """

    destination: str
    source: str
    kind: Kind
    value: float
    rule: str
    reply: str
    since_at: float
    until_at: float
    author: str = ""
    blames: str = ""
    times: int = 1

    @property
    def is_override(self) -> bool:
        """Whether an operator put a number in the place of the provider's."""
        return bool(self.author) and self.kind is not Kind.SUSPEND

    @property
    def is_suspended_by_hand(self) -> bool:
        return bool(self.author) and self.kind is Kind.SUSPEND


def blames_of(text: str) -> str:
    """Whom a reply of Google names.

    >>> blames_of("an unusual rate of unsolicited mail originating from your SPF domain")
    'spf'
    """
    return next((name for name, pattern in _BLAMES if pattern.search(text)), "")


def is_senders_own(blames: str) -> bool:
    """Tell whether another address of ours would meet the same refusal, because it is the sender's."""
    return blames in _SENDERS_OWN


def is_rate_reply(reply: Reply) -> bool:
    """Tell whether a reply of a peer says that we are too fast; not when one mailbox only is."""
    return (
        reply.is_transient
        and not isinstance(reply, OwnReply)
        and classify(reply).category is Category.RATE_LIMITED
        and not _OF_ONE_MAILBOX.search(reply.text)
    )


def is_about_connections(text: str) -> bool:
    """Tell whether a rate reply complains of connections, not of messages.

    >>> is_about_connections("too many concurrent connections"), is_about_connections("too many messages")
    (True, False)
    """
    return _OF_CONNECTIONS.search(text) is not None
