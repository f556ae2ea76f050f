"""Where an address is, as a value."""

from collections.abc import Callable
from typing import NamedTuple


class Place(NamedTuple):
    """`country`: two letters (ISO 3166-1), "": unknown. `asn`: number of the autonomous system, 0: unknown, whose name
    is `operator`."""

    country: str = ""
    asn: int = 0
    operator: str = ""

    def __str__(self) -> str:
        """
        >>> str(Place("BR", 64_500, "Example Telecom")), str(Place("BR")), str(NOWHERE)
        ('BR, AS64500 Example Telecom', 'BR', '')
        """
        system = f"AS{self.asn} {self.operator}".rstrip() if self.asn else ""
        return ", ".join(part for part in (self.country, system) if part)


NOWHERE = Place()
PlaceOf = Callable[[str], Place]


def nowhere(_client_ip: str) -> Place:
    """What is known without any file."""
    return NOWHERE
