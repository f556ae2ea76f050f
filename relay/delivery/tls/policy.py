"""What the recipient's domain asks of TLS to its hosts: nothing, MTA-STS or DANE. Values only, no look-ups."""

from dataclasses import dataclass, field
from enum import StrEnum

from relay.delivery.tls.dane import Tlsa


class Check(StrEnum):
    """How a host's certificate is judged."""

    TRIAL = "mta-sts testing"  # like MTA_STS, but a failure is only told
    MTA_STS = "mta-sts"  # by a certificate for its name, of an authority that is trusted
    DANE = "dane"  # by its TLSA records; without usable ones any will do, but TLS it must be (RFC 7672 section 2.2)


@dataclass(frozen=True, slots=True)
class Demand:
    """What one host has to show. Equal demands may share a connection, whose domain they are of does not matter."""

    check: Check
    records: tuple[Tlsa, ...] = ()
    domain: str = field(default="", compare=False)

    @property
    def is_binding(self) -> bool:
        """Whether mail waits when it is not met."""
        return self.check is not Check.TRIAL

    def __str__(self) -> str:
        match self.check:
            case Check.DANE:
                return "DANE (TLSA records of the host)"
            case _:
                return f"the MTA-STS policy of {self.domain}"
