"""Whose message a report is about, by proof alone, the strongest first. Without proof it is nobody's.

Tokens are checked by the relay, which has the keys. A Message-ID is proof only with a recipient of that very message,
and only while one end sender's mail has it: whoever reads a mail knows its Message-ID.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from analytics.inbox.clues import Clues, Owner
from analytics.warehouse import Warehouse
from relay.control.client import ControlClient
from relay.delivery.headers import referenced_message
from relay.evidence.views import CLAIMS_MAX, Claim, Proved

_MOST_OF_ONE_ID = 5
_FIND = """
SELECT message_id, trim(coalesce(header_message_id, ''), '<> ') AS header_id, account, reseller, sender, recipients
FROM message
WHERE message_id IN (SELECT unnest($ids::VARCHAR[])) OR header_message_id IN (SELECT unnest($headers::VARCHAR[]))
"""


class Proof(StrEnum):
    """How it is known, strongest first."""

    ENVELOPE = "envelope"
    ORIGINAL_MAIL_FROM = "original_mail_from"
    REFERENCE = "reference"
    CFBL = "cfbl_feedback_id"
    FEEDBACK_ID = "feedback_id"
    MESSAGE_ID = "message_id"


@dataclass(frozen=True, slots=True)
class Traced:
    """Whose it is, and how that is known."""

    owner: Owner
    proof: Proof


@dataclass(frozen=True, slots=True)
class _Sent:
    """A message of ours: `recipients` are pairs of address in lower case and id."""

    owner: Owner
    header_id: str
    recipients: tuple[tuple[str, int], ...]

    def to(self, addresses: Sequence[str]) -> Owner:
        """Its owner, with the recipient that is meant: the one that is named, or the only one there is."""
        found = [pair for pair in self.recipients if pair[0] in addresses]
        if not found and len(self.recipients) == 1:
            found = [*self.recipients]
        return replace(self.owner, recipient=found[0][0], recipient_id=found[0][1]) if found else self.owner


class Attribution:
    """Traces reports. `relay` makes a client of the control API; ControlError is raised when it does not answer."""

    def __init__(self, warehouse: Warehouse, relay: Callable[[], ControlClient]) -> None:
        self._warehouse, self._relay = warehouse, relay

    def trace(self, clues: Sequence[Clues]) -> list[Traced | None]:
        """Return whose each is, in order; None: nothing proves it. Two questions in all, however many."""
        sent = self._sent([one for one in clues if one.envelope is None])
        claims = [[*_claims(one, sent)] for one in clues]
        answers = iter(self._proved([claim for of_one in claims for _, claim, _ in of_one]))
        judged = [[(proof, next(answers), message) for proof, _, message in of_one] for of_one in claims]
        return [_traced(one, answered, sent) for one, answered in zip(clues, judged, strict=True)]

    def _sent(self, clues: Sequence[Clues]) -> list[_Sent]:
        ids = {found for one in clues for token in (one.reference, one.cfbl) if (found := _message_of(token))}
        headers = {form for one in clues if one.message_id for form in (one.message_id, f"<{one.message_id}>")}
        if not ids and not headers:
            return []
        rows = self._warehouse.table(_FIND, ids=[*ids], headers=[*headers]).to_pylist()
        return [
            _Sent(
                Owner(row["message_id"], row["account"], row["reseller"], row["sender"]),
                row["header_id"],
                tuple((one["address"].lower(), one["id"]) for one in row["recipients"] or []),
            )
            for row in rows
        ]

    def _proved(self, claims: Sequence[Claim]) -> list[Proved]:
        if not claims:
            return []
        with self._relay() as relay:
            return [
                proved
                for at in range(0, len(claims), CLAIMS_MAX)
                for proved in relay.prove(claims[at : at + CLAIMS_MAX])
            ]


def _claims(clues: Clues, sent: Sequence[_Sent]) -> Iterator[tuple[Proof, Claim, _Sent | None]]:
    """What to ask the relay about, strongest first."""
    if clues.envelope is not None:
        return
    for proof, paths in ((Proof.ENVELOPE, clues.return_paths), (Proof.ORIGINAL_MAIL_FROM, clues.mail_from)):
        for path in paths:
            yield proof, Claim(kind="return_path", value=path), None
    for proof, token in ((Proof.REFERENCE, clues.reference), (Proof.CFBL, clues.cfbl)):
        named = _message_of(token)
        for message in (one for one in sent if named and one.owner.message_id == named):
            yield proof, _claim("reference", token, message.owner), message
    for message in _with_id(clues, sent) if clues.feedback_id else ():
        yield Proof.FEEDBACK_ID, _claim("feedback_id", clues.feedback_id, message.owner), message


def _claim(kind: str, value: str, owner: Owner) -> Claim:
    return Claim(
        kind="reference" if kind == "reference" else "feedback_id",
        value=value,
        message_id=owner.message_id,
        account=owner.account,
        sender=owner.sender,
    )


def _traced(
    clues: Clues, answered: Iterable[tuple[Proof, Proved, _Sent | None]], sent: Sequence[_Sent]
) -> Traced | None:
    if clues.envelope is not None:
        return Traced(clues.envelope, Proof.ENVELOPE)
    for proof, proved, message in answered:
        if proved.is_genuine and message is None:
            owner = Owner(proved.message_id, proved.account, proved.reseller, proved.sender)
            return Traced(replace(owner, recipient_id=proved.recipient_id, recipient=proved.recipient.lower()), proof)
        if proved.is_genuine and message is not None:
            return Traced(message.to(clues.recipients), proof)
    found = [one for one in _with_id(clues, sent) if any(to in clues.recipients for to, _ in one.recipients)]
    if len({one.owner.sender for one in found}) != 1:
        return None  # nobody's, or several senders' with the same Message-ID: one of them has copied it
    return Traced(found[0].to(clues.recipients), Proof.MESSAGE_ID)


def _with_id(clues: Clues, sent: Sequence[_Sent]) -> list[_Sent]:
    return [one for one in sent if clues.message_id and one.header_id == clues.message_id][:_MOST_OF_ONE_ID]


def _message_of(token: str) -> str:
    return (referenced_message(token) or "") if token else ""
