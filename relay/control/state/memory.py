"""The relay's state, in memory for the hot path: the tree (customers.py), its logins (logins.py), what
mail leaves through (outgoing.py) and the decisions.

A change is in memory at once, is acknowledged after its commit, and is taken back when the commit fails. Each is one
transaction together with its audit row. Nothing here asks what a principal may do: the rooms' commands do.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from itertools import islice
from typing import TypeVar

from sqlalchemy import Connection

from relay.cases.book import CaseBook
from relay.clock import Clock
from relay.control.audit import chain as audit
from relay.control.audit.chain import Act
from relay.control.audit.views import AuditEntry, AuditHead
from relay.control.policies.book import PolicyBook
from relay.control.state import rows, verp_keys
from relay.control.state.database import Database
from relay.control.state.logins import Logins
from relay.control.state.outgoing import Outgoing
from relay.control.state.standings import Standings
from relay.control.suppression.book import SuppressionList
from relay.control.webhooks.book import WebhookBook
from relay.delivery.pauses import Pause, Paused, Pauses
from relay.delivery.verp import Key
from relay.policy.decisions import decision
from relay.policy.decisions.decision import Decision, Proposal
from relay.resellers.book import BrandBook
from relay.resellers.brand import Brands
from relay.saved.book import SavedBook
from relay.tree import Principal, Role
from relay.users.book import Users

_T = TypeVar("_T")


class State(Logins):
    """Read without awaiting; write with `await`, from the event loop only."""

    def __init__(self, database: Database, node: str, clock: Clock, loaded: rows.Everything) -> None:
        super().__init__(database, node, clock, loaded.tree)
        self.egress = Outgoing(database, node, clock, loaded.egress)
        self.standings = Standings(loaded.decisions)
        self.pauses = Pauses(loaded.pauses)
        self.suppression = SuppressionList(database, node, clock, loaded.suppressed)
        self.policies = PolicyBook(database, node, clock, loaded.policies)
        self.users = Users(database, node, clock, loaded.users)
        self.webhooks = WebhookBook(database, node, clock)
        self.cases = CaseBook(database, node, clock)
        self.branding = BrandBook(database, node, clock, loaded.brands)
        self.brands = Brands(self.branding.in_force, self.accounts, self.former_resellers)
        self.saved = SavedBook(database, node, clock)
        own = [row.sequence for row in loaded.decisions if row.node == node]
        self._sequence = max(own, default=0)

    @classmethod
    async def open(cls, url: str, node: str, clock: Clock) -> "State":
        """Open, migrate and read the database at a SQLAlchemy URL. Raises StateFailure."""
        database = Database(url)
        try:
            await database.open()
            return cls(database, node, clock, await database.run(lambda connection: rows.load(connection, clock.now())))
        except BaseException:
            await database.close()
            raise

    async def close(self) -> None:
        """Return when everything handed in is committed, and so is what logins were last used."""
        await self._stop_noting()
        await self._database.close()

    def state_of(self, sender: str, now: datetime | None = None) -> decision.State:
        """Where a sender stands, now if not said otherwise. Cheap enough to be asked several times a message."""
        standings = self.standings
        if not standings.knows(sender):
            return decision.UNDECIDED
        return standings.state_of(sender, now or self._clock.now())

    def stopped(self, account: str) -> list[str]:
        """The senders of an account that the relay stopped within the last hour."""
        return self.standings.stopped(account, self._clock.now())

    def exempt_text(self, account: str, fingerprint: str) -> Decision | None:
        """The decision in force that forbids to stop a text of an account."""
        return self.standings.exempt_text(account, fingerprint, self._clock.now())

    def decisions(
        self, *, sender: str | None = None, account: str | None = None, open_only: bool = False, limit: int | None = 200
    ) -> list[Decision]:
        """Decisions, youngest first; of all senders, without those that only say that one is good."""
        standings, now = self.standings, self._clock.now()
        if sender is not None:
            source: Iterable[Decision] = reversed(standings.of(sender))
        else:
            source = standings.open_youngest_first(now) if open_only else standings.youngest_first()
            source = (row for row in source if not row.proposal.is_praise)
        wanted = (
            row
            for row in source
            if account in (None, row.proposal.account) and (not open_only or standings.is_open(row, now))
        )
        return list(islice(wanted, limit))

    def decision(self, decision_id: str) -> Decision | None:
        return self.standings.get(decision_id)

    async def decide(self, proposal: Proposal, principal: Principal | None = None) -> Decision:
        """Put one decision in force; see decide_all."""
        return (await self.decide_all([proposal], principal))[0]

    async def decide_all(self, proposals: Sequence[Proposal], principal: Principal | None = None) -> list[Decision]:
        """Put decisions in force in memory before the first await; return after their common commit."""
        decided = [self._numbered(proposal) for proposal in proposals]
        now = self._clock.now()

        def write(connection: Connection) -> None:
            for row in decided:
                rows.insert_decision(connection, row, now)
                audit.append(connection, self._node, principal or _automatic(row), _act_of(row), now)

        for row in decided:
            self.standings.add(row)
        await self._commit(write, [lambda: self.standings.remove_all(decided)])
        return decided

    async def note(self, principal: Principal, act: Act) -> None:
        """Write an audit row about something that is done elsewhere (the spool)."""
        await self._audited(lambda connection, now: None, principal, act)

    async def pause(self, kind: Paused, key: str, pause: Pause | None, principal: Principal, act: Act) -> None:
        """Put a pause in force, or with None lift it; in memory at once."""
        before = self.pauses.get(kind, key)
        self.pauses.put(kind, key, pause)
        await self._audited(
            lambda connection, now: rows.put_pause(connection, kind, key, pause),
            principal,
            act,
            lambda: self.pauses.put(kind, key, before),
        )

    async def run(self, function: Callable[[Connection], _T]) -> _T:
        """Run `function` in a transaction: for what has no place in memory. Raises StateFailure."""
        return await self._database.run(function)

    async def audit_redactions(self) -> dict[str, str]:
        return await self._database.run(audit.redactions)

    async def audit_log(self, limit: int) -> list[AuditEntry]:
        return await self._database.run(lambda connection: audit.newest(connection, limit))

    async def audit_heads(self) -> list[AuditHead]:
        return await self._database.run(audit.heads)

    async def audit_following(self, node: str, after: int, limit: int) -> Sequence[AuditEntry]:
        return await self._database.run(lambda connection: audit.following(connection, node, after, limit))

    async def verp_keys(self, rotate_after: timedelta) -> list[Key]:
        """The keys of return paths; a new one takes over when the youngest is older than that. Raises StateFailure."""
        now = self._clock.now()
        return await self._database.run(lambda connection: verp_keys.kept(connection, self._node, now, rotate_after))

    def _numbered(self, proposal: Proposal) -> Decision:
        self._sequence += 1
        return Decision(self._node, self._sequence, proposal)


def _automatic(row: Decision) -> Principal:
    return Principal(row.proposal.author, Role.OPERATOR)


def _act_of(row: Decision) -> Act:
    proposal = row.proposal
    return Act(
        f"decision.{proposal.effect}",
        proposal.account,
        proposal.sender,
        {"decision": row.id, "rule": proposal.rule, "supersedes": proposal.supersedes, "value": proposal.value},
    )
