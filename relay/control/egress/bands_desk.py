"""What analytics says of addresses by destination, told to the running relay. For operators who see the whole tree."""

from collections import defaultdict

from relay.clock import Clock
from relay.control.audit.chain import Act
from relay.control.audit.views import AuditDetail
from relay.control.egress.sources_desk import check_operator, check_reader
from relay.control.egress.views import BandsView, NewBands
from relay.control.state.memory import State
from relay.delivery.egress.bands import LOW, Low
from relay.delivery.egress.egress import Egress
from relay.tree import Principal


class BandsDesk:
    """`egress`: the running relay's, None without one: then there is nobody to tell."""

    def __init__(self, state: State, clock: Clock, egress: Egress | None) -> None:
        self._state, self._clock, self._egress = state, clock, egress

    def show(self, principal: Principal) -> BandsView:
        check_reader(principal)
        return self._view()

    async def set(self, principal: Principal, new: NewBands) -> BandsView:
        """Take a newer version; an older one, or the same again, changes nothing. Audited when somebody's changes."""
        check_operator(principal)
        if self._egress is None or new.dry_run:
            return self._view(dry_run=new.dry_run)
        names = defaultdict[str, list[str]](list)
        for source in self._state.egress.sources.values():
            names[source.address].append(source.name)
        low = {
            (name, row.destination): (row.band, row.score)
            for row in new.rows
            if row.band in LOW
            for name in names[row.address]
        }
        before = _named(self._low())
        taken = self._egress.bands.take(new.version, low, new.ends_at.timestamp())
        after = _named(self._low())
        if taken and before != after:
            said = "; ".join(f"{name} at {', '.join(at)}" for name, at in after.items())
            detail: AuditDetail = {"version": new.version, "low": said}
            await self._state.note(principal, Act("egress.bands", "", "egress", detail))
        return self._view(taken=taken)

    def _low(self) -> list[Low]:
        return list(self._egress.bands.low(self._clock.unix())) if self._egress else []

    def _view(self, *, taken: bool = False, dry_run: bool = False) -> BandsView:
        version = self._egress.bands.version if self._egress else 0
        return BandsView(version=version, taken=taken, low=_named(self._low()), dry_run=dry_run)


def _named(low: list[Low]) -> dict[str, list[str]]:
    found = defaultdict[str, list[str]](list)
    for one in low:
        found[one.source].append(f"{one.destination} ({one.band})")
    return dict(found)
