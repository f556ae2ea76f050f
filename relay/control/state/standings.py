"""All decisions in memory, found by sender and by id, and each sender's folded state, cached until it may change."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from relay.policy.decisions.decision import STOPPING, UNDECIDED, Decision, Effect, State, fold
from relay.tree import is_group, is_text

# They work through the row they supersede.
_ANSWERS = (Effect.RELEASE, Effect.CONFIRM)
_NEVER = datetime.max.replace(tzinfo=UTC)
_STOPPED_FOR = timedelta(hours=1)  # spec 2.5
_REFOLDED = timedelta(minutes=10)  # a multiplier on its way back moves in steps, old blocks are forgotten in steps
_LIKE_BANDS = 2  # of four, that texts share which are the same for an exemption


class Standings:
    """The index. A sender nobody decided about costs one dict miss."""

    def __init__(self, decisions: Iterable[Decision]) -> None:
        self._by_id: dict[str, Decision] = {}
        self._by_sender: dict[str, list[Decision]] = {}
        self._ended_by: dict[tuple[str, Effect], Decision] = {}
        self._cache: dict[str, tuple[datetime, datetime, State]] = {}
        self._maybe_open: dict[str, Decision] = {}  # all that are open, and some that have ended since
        self._stops: dict[str, list[Decision]] = {}  # the relay's own, by account; those of the last hour, and older
        self._exempt_texts: dict[str, list[Decision]] = {}  # by account
        for decision in decisions:
            self.add(decision)

    def add(self, decision: Decision) -> None:
        proposal = decision.proposal
        self._by_id[decision.id] = self._maybe_open[decision.id] = decision
        self._by_sender.setdefault(proposal.sender, []).append(decision)
        if proposal.supersedes:
            self._ended_by.setdefault((proposal.supersedes, proposal.effect), decision)
        if proposal.effect in STOPPING and proposal.is_automatic and not is_group(proposal.sender):
            self._stops.setdefault(proposal.account, []).append(decision)
        if proposal.effect is Effect.EXEMPT and is_text(proposal.sender):
            self._exempt_texts.setdefault(proposal.account, []).append(decision)
        self._cache.pop(proposal.sender, None)

    def remove_all(self, decisions: Iterable[Decision]) -> None:
        """Take back rows whose transaction failed."""
        for decision in decisions:
            self._remove(decision)

    def knows(self, sender: str) -> bool:
        """Tell whether anybody ever decided about a sender."""
        return sender in self._by_sender

    def state_of(self, sender: str, now: datetime) -> State:
        rows = self._by_sender.get(sender)
        if not rows:
            return UNDECIDED
        cached = self._cache.get(sender)
        if cached and cached[0] <= now < cached[1]:
            return cached[2]
        lasting = [self.lasting(row) for row in rows]
        state = fold(lasting, now)
        boundary = _next_boundary(lasting, now)
        if state.multiplier != 1 or state.blocks:
            boundary = min(boundary, now + _REFOLDED)
        self._cache[sender] = (now, boundary, state)
        return state

    def stopped(self, account: str, now: datetime) -> list[str]:
        """The senders of an account that the relay stopped within the last hour and nobody has released."""
        rows = self._stops.get(account)
        if not rows:
            return []
        since = now - _STOPPED_FOR
        rows[:] = [row for row in rows if row.proposal.starts_at > since]
        if not rows:
            del self._stops[account]
        return [row.proposal.sender for row in rows if self.released_by(row) is None]

    def rewrite(self, change: Callable[[Decision], Decision]) -> None:
        """Put what `change` says in the place of each row, in the same order."""
        rows = [change(row) for row in self._by_id.values()]
        self.__dict__.update(Standings(rows).__dict__)

    def exempt_text(self, account: str, fingerprint: str, now: datetime) -> Decision | None:
        """The decision in force that forbids to stop this text, or one that is nearly the same."""
        rows = self._exempt_texts.get(account) if fingerprint else None
        if not rows:
            return None
        like = (row for row in rows if _is_like(row.proposal.sender.rsplit("|", 1)[1], fingerprint))
        return next((row for row in like if self.in_force(row, now)), None)

    def get(self, decision_id: str) -> Decision | None:
        return self._by_id.get(decision_id)

    def of(self, sender: str) -> list[Decision]:
        return list(self._by_sender.get(sender, ()))

    def youngest_first(self) -> Iterator[Decision]:
        return reversed(self._by_id.values())

    def open_youngest_first(self, now: datetime) -> list[Decision]:
        """Those that are open; costs what is open, not what ever was decided."""
        for row in [row for row in self._maybe_open.values() if self._is_over(row, now)]:
            del self._maybe_open[row.id]
        return [row for row in reversed(self._maybe_open.values()) if self.is_open(row, now)]

    def released_by(self, decision: Decision) -> Decision | None:
        return self._ended_by.get((decision.id, Effect.RELEASE))

    def confirmed_by(self, decision: Decision) -> Decision | None:
        return self._ended_by.get((decision.id, Effect.CONFIRM))

    def lasting(self, decision: Decision) -> Decision:
        """The row as it works out: a confirmed one does not end by itself, a released one ends with its release."""
        released, ends_at = self.released_by(decision), decision.proposal.ends_at
        if self.confirmed_by(decision):
            ends_at = None
        if released and (ends_at is None or released.proposal.starts_at < ends_at):
            ends_at = released.proposal.starts_at
        if ends_at == decision.proposal.ends_at:
            return decision
        return replace(decision, proposal=replace(decision.proposal, ends_at=ends_at))

    def in_force(self, decision: Decision, now: datetime) -> bool:
        """Tell whether the fold counts it. A RELEASE or CONFIRM works through another row."""
        proposal = decision.proposal
        if proposal.effect in _ANSWERS or proposal.starts_at > now:
            return False
        ends_at = self.lasting(decision).proposal.ends_at
        return ends_at is None or now < ends_at

    def is_open(self, decision: Decision, now: datetime) -> bool:
        """Tell whether it is in force and does something: of several multipliers only the youngest does."""
        if not self.in_force(decision, now):
            return False
        if decision.proposal.effect is not Effect.MULTIPLY:
            return True
        if decision.proposal.value == 1:
            return False
        rows = (row for row in self._by_sender[decision.proposal.sender] if row.proposal.effect is Effect.MULTIPLY)
        youngest = max(
            (row for row in rows if self.in_force(row, now)),
            key=lambda row: (row.proposal.starts_at, row.node, row.sequence),
        )
        return youngest is decision

    def _is_over(self, decision: Decision, now: datetime) -> bool:
        ends_at = self.lasting(decision).proposal.ends_at
        return decision.proposal.effect in _ANSWERS or (ends_at is not None and ends_at <= now)

    def _remove(self, decision: Decision) -> None:
        proposal = decision.proposal
        del self._by_id[decision.id]
        self._maybe_open.pop(decision.id, None)
        self._by_sender[proposal.sender].remove(decision)
        for rows in (self._stops.get(proposal.account), self._exempt_texts.get(proposal.account)):
            if rows and decision in rows:
                rows.remove(decision)
        if self._ended_by.get((proposal.supersedes, proposal.effect)) is decision:
            del self._ended_by[proposal.supersedes, proposal.effect]
        self._cache.pop(proposal.sender, None)


def _is_like(one: str, other: str) -> bool:
    """Tell whether two fingerprints (content/fingerprint.py) are of the same or nearly the same text."""
    if one[:16] == other[:16]:
        return True
    return sum(one[at : at + 8] == other[at : at + 8] for at in (17, 25, 33, 41)) >= _LIKE_BANDS


def _next_boundary(rows: Iterable[Decision], now: datetime) -> datetime:
    instants = (instant for row in rows for instant in (row.proposal.starts_at, row.proposal.ends_at) if instant)
    return min((instant for instant in instants if instant > now), default=_NEVER)
