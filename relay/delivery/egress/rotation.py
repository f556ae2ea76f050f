"""Smooth weighted round robin: every choice in proportion to its weight, and no run of the heaviest. Pure.

Each turn every candidate gains its weight, the one that has most is taken and pays the sum of all (as nginx does).
"""

from collections.abc import Sequence


class Rotation:
    """One round. Candidates may come and go between turns: who is not asked for neither gains nor pays."""

    __slots__ = ("_credit",)

    def __init__(self) -> None:
        self._credit: dict[str, float] = {}

    def order(self, weights: Sequence[tuple[str, float]]) -> list[int]:
        """Return the places of the candidates, the one whose turn it is first; nothing is advanced."""
        credit = self._credit
        return sorted(range(len(weights)), key=lambda place: -(credit.get(weights[place][0], 0.0) + weights[place][1]))

    def take(self, weights: Sequence[tuple[str, float]]) -> int:
        """Return the place of the candidate whose turn it is, and advance.

        >>> round = Rotation()
        >>> "".join("abc"[round.take([("a", 5), ("b", 1), ("c", 1)])] for _ in range(7))
        'aabacaa'
        """
        credit, total, best, most = self._credit, 0.0, 0, float("-inf")
        for place, (name, weight) in enumerate(weights):
            gained = credit[name] = credit.get(name, 0.0) + weight
            total += weight
            if gained > most:
                best, most = place, gained
        credit[weights[best][0]] = most - total
        return best
