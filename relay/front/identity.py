"""Who really sent it: the end sender behind a credential, from the witnesses in their order (spec 2.2).

Only accounts marked `shared_host` are believed what they write; a customer behind them may forge any header below the
one their server adds, so the top-most alone counts. Must never make a key of an empty value: all mail without an
identity would share it, and one abuser would stop everybody.

Forwarded mail (kind `forwarded`) is kept apart: a forwarder shares its server's address with innocents, and the spam in
it was written by strangers. Whom the server names stays who he is, whatever forwarding the message shows: a customer
can write X-Forwarded-For and an SRS envelope sender himself, and would be rid of his standing by it. So only mail that
nobody vouches for is looked at, and what the server itself names `forward+box@domain`.
"""

import re
from dataclasses import dataclass

from relay.envelope import Submission
from relay.front.identity_plan import (
    CREDENTIAL_BOUND,
    FORWARDED,
    OWN_HOST,
    SHARED_HOST,
    UNNAMED,
    Plan,
    Witness,
    plan_of,
)
from relay.front.witnesses import is_srs, normalised, script
from relay.tree import SenderId

FORWARD_MARK = "forward+"  # docs/integrations/exim.md: forward+ the address that forwards

_forwarding_field = re.compile(rb"\nX-Forwarded-(For|To|Encrypted)[ \t]*:", re.IGNORECASE).search


@dataclass(frozen=True, slots=True)
class Identity:
    """The end sender, the witness that named it, and the (start, end) bytes of the headers to cut before delivery."""

    sender: SenderId
    source: str
    spans: list[tuple[int, int]]

    @property
    def is_named(self) -> bool:
        """Tell whether an end sender is known; if not, the whole credential or address stands for it."""
        return self.source not in UNNAMED

    @property
    def is_forwarded(self) -> bool:
        """Tell whether the mail came from elsewhere and is only passed on."""
        return self.sender.kind == FORWARDED


def identify(submission: Submission, header_block: bytes) -> Identity:
    """Name the end sender of a message. `header_block` is its content up to the empty line, or further."""
    account = submission.account
    if account.identity_rules:
        plan = plan_of(account.identity_rules, account.shared_host)
    else:
        plan = SHARED_HOST if account.shared_host else OWN_HOST
    # an empty line at the very beginning: all is body, and nothing in it is a header
    end = 0 if header_block.startswith(b"\r\n") else header_block.find(b"\r\n\r\n")
    end = len(header_block) if end < 0 else end
    topmost, spans = _read(plan, header_block, end)
    kind, value, source = _named(submission, plan, topmost, header_block, end)
    return Identity(SenderId(account.name, kind, value, script(topmost)), source, spans)


def _read(plan: Plan, block: bytes, end: int) -> tuple[dict[bytes, str], list[tuple[int, int]]]:
    """Return the top-most value of each field that says something about identity, and the spans to cut."""
    topmost: dict[bytes, str] = {}
    spans: list[tuple[int, int]] = []
    if first := plan.first_field(block, 0, end):
        _note(plan, first, 0, topmost, spans)
    for field in plan.later_fields(block, 0, end):
        _note(plan, field, field.start() + 1, topmost, spans)
    return topmost, spans


def _note(
    plan: Plan, field: re.Match[bytes], start: int, topmost: dict[bytes, str], spans: list[tuple[int, int]]
) -> None:
    name = field[1].lower()
    if name not in topmost:
        topmost[name] = field[2].decode("utf-8", "replace")
    if name in plan.cut:
        spans.append((start, field.end() + 2))


def _named(
    submission: Submission, plan: Plan, topmost: dict[bytes, str], block: bytes, end: int
) -> tuple[str, str, str]:
    """Return kind, value and source: the login's binding, else the first witness that has something to say."""
    if submission.end_sender and (bound := normalised(submission.end_sender)):
        return CREDENTIAL_BOUND, bound, "binding of the credential"
    for witness in plan.witnesses:
        value = normalised(witness.read(submission, topmost))
        if not value:
            continue
        if witness.is_vouched_for:
            return _forwarder(submission, witness, value)
        if source := _forwarding(submission, block, end):
            return FORWARDED, submission.client_ip, source
        return witness.kind, value, witness.source
    raise AssertionError("a client has an address")


def _forwarder(submission: Submission, witness: Witness, value: str) -> tuple[str, str, str]:
    if not value.startswith(FORWARD_MARK):
        return witness.kind, value, witness.source
    box = value.removeprefix(FORWARD_MARK)
    # Exim writes `forward+@` where it does not know the address
    return FORWARDED, box if box.strip("@") else submission.client_ip, witness.source


def _forwarding(submission: Submission, block: bytes, end: int) -> str:
    """Return what shows that mail without a named sender is passed on only; "" when nothing does.

    SRS alone does. A forwarder's header does together with an envelope domain that is not the account's, which can be
    told only where the account has its domains registered; subdomains are its own.
    """
    sender = submission.mail_from
    if is_srs(sender):
        return "SRS"
    account = submission.account
    domain = sender.rpartition("@")[2].strip("<>").lower()
    if not account.domains or not domain or account.owns(domain):
        return ""
    found = _forwarding_field(b"\n" + block[:end])
    return f"X-Forwarded-{found[1].decode().capitalize()}" if found else ""
