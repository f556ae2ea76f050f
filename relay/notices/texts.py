"""Every word that customers and the abuse desk read in notices and on the release page. The facts come from policy/why.

Pure. A subject of held mail is shown to be recognised, never to be clicked: it is what an abuser wrote.
"""

import re

from relay.policy.decisions.decision import Decision, Effect
from relay.policy.decisions.self_release import RELAPSES_MAX, Hindrance
from relay.policy.decisions.why import ends_sooner, when

_SUBJECT_LENGTH = 60
_address = re.compile(r"([^\s@<>,;:\"]{1,64})@([^\s@<>,;:\"]{1,255})")
_link = re.compile(r"(?:https?://|www\.)\S+", re.IGNORECASE)
_number = re.compile(r"\d{3,}")

_MEANS = {
    Effect.THROTTLE: "Its messages are accepted, and leave more slowly.",
    Effect.HOLD: "Its messages are accepted and wait here; none is lost, none leaves.",
    Effect.BLOCK: "Its messages are refused for the time being; what was accepted before waits here.",
    Effect.SUSPEND: "Its messages are refused until a person has looked; what was accepted before waits here.",
}
_HEADLINES = {
    Effect.THROTTLE: "A sender is slowed down",
    Effect.HOLD: "A sender's mail is held",
    Effect.BLOCK: "A sender is blocked for a time",
    Effect.SUSPEND: "A sender is suspended and needs a person",
    Effect.RELEASE: "A sender may send again",
}
EXPIRY_HEADLINE = "Held mail is about to be deleted"
_HINDERED = {
    Hindrance.OFF: "The operator of this relay releases senders himself.",
    Hindrance.OVER: "This is over already: there is nothing left to release.",
    Hindrance.SUSPENDED: "This sender is suspended, which only a person ends.",
    Hindrance.BY_HAND: "A person at the relay decided this, and only a person ends it.",
    Hindrance.GROUP: "Several new senders of the account are affected, as by a hacked server: a person decides.",
    Hindrance.RELAPSED: f"This sender was released by link {RELAPSES_MAX} times and went on: a person decides.",
    Hindrance.MALWARE: "Among the messages is one that may carry malware, which only a person releases.",
}
ADVICE = (
    "If you do not know these messages, somebody else sends with your login or through your web site: change the"
    " password, update the site's software, and do not release."
)


def redacted(subject: str) -> str:
    """Return a subject to recognise a message by: no links, addresses or codes, cut to 60 characters.

    >>> redacted("Your code 482913 for joe@shop.example: http://bad.example/x")
    'Your code ### for j…@shop.example: [link]'
    """
    text = "".join(sign if sign.isprintable() else "?" for sign in subject)
    text = _link.sub("[link]", text)
    text = _address.sub(lambda found: f"{found[1][:1]}…@{found[2]}", text)
    text = _number.sub("###", text).strip()
    return text if len(text) <= _SUBJECT_LENGTH else f"{text[: _SUBJECT_LENGTH - 1]}…"


def headline(effect: Effect) -> str:
    """Return the first line of a notice about a decision."""
    return _HEADLINES[effect]


def meaning(effect: Effect) -> str:
    """Return what a stop does to the sender's mail; "" for an effect that stops nothing."""
    return _MEANS.get(effect, "")


def hindered(why: Hindrance) -> str:
    """Return why a link does not release."""
    return _HINDERED[why]


def ends(decision: Decision) -> str:
    """Return when a stop ends, and what ends it sooner."""
    ends_at = decision.proposal.ends_at
    if ends_at is None:
        return "It lasts until a person releases the sender."
    by_itself = ends_sooner(decision.proposal)
    sooner = f"sooner by {by_itself}, or when" if by_itself else "sooner when"
    return f"It ends by itself on {when(ends_at)}; {sooner} somebody releases the sender."


def write_to(contact: str, decision_id: str) -> str:
    """Return whom to write to."""
    return f"Questions: write to {contact} and name {decision_id}."
