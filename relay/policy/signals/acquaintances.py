"""To whom a sender has written before: a compact set of hashed recipients, exact while small, a Bloom filter then.

96 recipients exactly in 384 bytes, up to 1,600 in a Bloom filter of 1 kB (3 hashes, then 9 % of strangers are taken for
known); who has more is not judged by it. Must never see an address.
"""

import msgspec

_EXACT, _HASH = 96, 4
_FILTER_BYTES = 1_024
_MOST = 1_600
_SETTLED_RECIPIENTS = 100  # before it is known to whom a sender usually writes
_MEMORY = 4_000  # recipients; then the older ones count half


class Acquaintances(msgspec.Struct, array_like=True, gc=False):
    """`strangers` of `recipients` is what was usual until yesterday."""

    kept: bytearray = msgspec.field(default_factory=bytearray)
    count: int = 0
    recipients: int = 0
    strangers: int = 0

    @property
    def is_settled(self) -> bool:
        return self.recipients >= _SETTLED_RECIPIENTS and self.count < _MOST

    @property
    def usual_share(self) -> float:
        """The share of strangers among the recipients until yesterday."""
        return self.strangers / self.recipients if self.recipients else 0.0

    def meet(self, recipients: tuple[bytes, ...]) -> int:
        """Remember recipients; return how many were strangers."""
        return sum([self._meet(one) for one in recipients]) if self.count < _MOST else 0

    def learn(self, recipients: int, strangers: int) -> None:
        """Take what is a day old as usual."""
        self.recipients += recipients
        self.strangers += min(strangers, recipients)
        if self.recipients > _MEMORY:
            self.recipients, self.strangers = self.recipients // 2, self.strangers // 2

    def _meet(self, one: bytes) -> bool:
        if len(self.kept) < _FILTER_BYTES:
            part = one[:_HASH]
            place = self.kept.find(part)
            while place >= 0 and place % _HASH:  # the bytes of two neighbours
                place = self.kept.find(part, place + 1)
            if place >= 0:
                return False
            self.count += 1
            self.kept += part
            if self.count > _EXACT:
                self._make_filter()
            return True
        is_new = self._set(int.from_bytes(one[:_HASH], "little"))
        self.count += is_new
        return is_new

    def _make_filter(self) -> None:
        exact, self.kept = self.kept, bytearray(_FILTER_BYTES)
        for place in range(0, len(exact), _HASH):
            self._set(int.from_bytes(exact[place : place + _HASH], "little"))

    def _set(self, number: int) -> bool:
        """Set three bits that 32 bits choose; tell whether one was not set before."""
        is_new, kept = False, self.kept
        for shift in (0, 9, 19):
            bit = (number >> shift) & 8_191
            mask = 1 << (bit & 7)
            if not kept[bit >> 3] & mask:
                kept[bit >> 3] |= mask
                is_new = True
        return is_new
