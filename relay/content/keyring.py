"""The private keys a content worker signs with: the relay's own, and customers' by account and domain.

A key is read when a message first needs it: of ten thousand customers' keys a worker uses few, and RSA takes room.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from relay.content.protocol import CustomerKey, KeyChange, Signer
from relay.delivery.signing.dkim_keys import PrivateKey, load_key


@dataclass(frozen=True, slots=True)
class Loaded:
    """A key, and the name it signs by."""

    domain: str
    selector: str
    key: PrivateKey


class KeyRing:
    """What is on it at a message is what that message is signed with."""

    def __init__(self, own: dict[str, bytes], customers: Iterable[CustomerKey] = ()) -> None:
        """`own`: PEM by key id. Raises ValueError for what is no key."""
        self._own = {key_id: load_key(pem) for key_id, pem in own.items()}
        self._customers: dict[tuple[str, str], dict[str, CustomerKey]] = {}
        self._loaded: dict[tuple[str, str], list[Loaded]] = {}
        self.change(KeyChange(put=[*customers]))

    def change(self, change: KeyChange) -> None:
        """Put keys on it, take keys off."""
        for account, domain, selector in change.drop:
            self._customers.get((account, domain), {}).pop(selector, None)
            self._loaded.pop((account, domain), None)
        for put in change.put:
            place = (put.account, put.domain)
            self._customers.setdefault(place, {})[put.selector] = put
            self._loaded.pop(place, None)

    def own(self, signers: Sequence[Signer]) -> list[Loaded]:
        """The relay's own keys for these signers."""
        return [Loaded(signer.domain, signer.selector, self._own[signer.key_id]) for signer in signers]

    def of_author(self, account: str, author_domain: str) -> list[Loaded]:
        """The account's keys of the author's domain; of the nearest domain above it where it has none itself.

        A key of example.org is in relaxed alignment with news.example.org (RFC 7489 3.1.1); the other way round the
        owner of a name below would speak for the whole domain.
        """
        name = author_domain.lower().rstrip(".")
        while "." in name:
            if found := self._at(account, name):
                return found
            name = name.partition(".")[2]
        return []

    def _at(self, account: str, domain: str) -> list[Loaded]:
        place = (account, domain)
        if place not in self._loaded and (keys := self._customers.get(place)):
            self._loaded[place] = [
                Loaded(domain, selector, load_key(known.pem, is_ours=True)) for selector, known in keys.items()
            ]
        return self._loaded.get(place, [])
