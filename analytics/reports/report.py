"""What a mail from outside turned out to be: one record per kind, each with its JSON fields."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar, Protocol

from relay.delivery.replies import Category


class Action(StrEnum):
    """What became of a recipient (RFC 3464 2.3.3)."""

    FAILED = "failed"
    DELAYED = "delayed"
    DELIVERED = "delivered"
    RELAYED = "relayed"
    EXPANDED = "expanded"


class Report(Protocol):
    """Anything `reading.read` returns; `kind` names it."""

    kind: ClassVar[str]

    def fields(self) -> dict[str, Any]:
        """What JSON says of it, beside its kind."""


@dataclass(frozen=True, slots=True)
class Failure:
    """One recipient of a bounce. `recipient`: as the sender wrote it, where the report says so; `final`: as the last
    server knew it ("" where it is the same). `diagnostic`: the reply it is about, in one line. `rule` and `confidence`
    [0, 1]: who said the category, and how sure; `is_hard`: the address does not exist.
    """

    recipient: str
    final: str
    action: Action
    status: str
    diagnostic: str
    category: Category
    coarse: str
    rule: str
    confidence: float
    is_hard: bool


@dataclass(frozen=True, slots=True)
class Returned:
    """The message a report is about: its Message-ID without brackets, and its headers in order, names in lower case."""

    message_id: str = ""
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class BounceReport:
    """Recipients that failed, or wait (action delayed). `reader`: which line reader, or "dsn", found them."""

    failures: tuple[Failure, ...]
    returned: Returned
    reader: str
    kind: ClassVar[str] = "bounce"

    def fields(self) -> dict[str, Any]:
        return {
            "reader": self.reader,
            "reports": [
                {
                    "recipient": failure.recipient,
                    "final_recipient": failure.final,
                    "action": failure.action,
                    "status": failure.status,
                    "diagnostic": failure.diagnostic,
                    "category": failure.coarse,
                    "class": failure.category,
                    "rule": failure.rule,
                    "confidence": round(failure.confidence, 3),
                    "hard": failure.is_hard,
                }
                for failure in self.failures
            ],
            "original_message_id": self.returned.message_id,
        }


@dataclass(frozen=True, slots=True)
class SuccessReport:
    """A DSN that says only good things: delivered, relayed, expanded."""

    recipients: tuple[str, ...]
    returned: Returned
    kind: ClassVar[str] = "dsn-success"

    def fields(self) -> dict[str, Any]:
        return {"recipients": list(self.recipients), "original_message_id": self.returned.message_id}


@dataclass(frozen=True, slots=True)
class AutoReply:
    """An answer by a machine on behalf of a person (RFC 3834): holiday notices, receipts. `sign`: what told."""

    sign: str
    kind: ClassVar[str] = "auto-reply"

    def fields(self) -> dict[str, Any]:
        return {"sign": self.sign}


@dataclass(frozen=True, slots=True)
class NormalMail:
    """No report of any kind: written by a person, or to many."""

    kind: ClassVar[str] = "other"

    def fields(self) -> dict[str, Any]:
        return {}


@dataclass(frozen=True, slots=True)
class Refused:
    """A report that is not believed or cannot be read. `claims`: the kind it says it is."""

    claims: str
    reason: str
    kind: ClassVar[str] = "invalid"

    def fields(self) -> dict[str, Any]:
        return {"claims": self.claims, "reason": self.reason}
