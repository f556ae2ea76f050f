"""Commands on egress pools and on warm-up. For operators who see the whole tree."""

from dataclasses import asdict, replace

from relay.clock import Clock
from relay.control.accounts.views import Order
from relay.control.audit.chain import Act
from relay.control.checks import checked_name, shell
from relay.control.egress.sources_desk import check_operator, check_reader
from relay.control.egress.views import PlanView, PoolOrder, PoolView, StageOrder, WarmupView
from relay.control.errors import Conflict, Invalid, NotFound
from relay.control.state.memory import State
from relay.delivery.egress.egress import Egress
from relay.delivery.egress.sources import DEFAULT_POOLS
from relay.delivery.egress.warmup import PlanState, per_hour
from relay.tree import Principal

_HEAVIEST = 1_000


class PoolsDesk:
    """Every command takes its Principal first and checks role, scope and values."""

    def __init__(self, state: State) -> None:
        self._state = state

    def list(self, principal: Principal) -> list[PoolView]:
        check_reader(principal)
        names = dict.fromkeys([*DEFAULT_POOLS, *sorted(self._state.egress.pools)])
        return [self._view(name) for name in names]

    def show(self, principal: Principal, name: str) -> PoolView:
        check_reader(principal)
        self._check_known(name)
        return self._view(name)

    async def set(self, principal: Principal, name: str, order: PoolOrder) -> PoolView:
        """Give a pool its members; one that does not exist is made."""
        check_operator(principal)
        checked_name(name, "pool")
        if not order.members:
            raise Invalid(f"pool {name!r}: name at least one source; to take all away: {shell('pool', 'rm', name)}")
        for source, weight in order.members.items():
            self._state.egress.source(source)
            if not 1 <= weight <= _HEAVIEST:
                raise Invalid(f"{source}={weight}: a weight lies between 1 and {_HEAVIEST}")
        return await self._put(principal, name, order.members, dry_run=order.dry_run)

    async def remove(self, principal: Principal, name: str, order: Order) -> PoolView:
        """Take all members away: the five default pools then use those of `fair`, others are no more."""
        check_operator(principal)
        self._check_known(name)
        users = _users(self._state, name)
        if users and name not in DEFAULT_POOLS:
            raise Conflict(f"pool {name!r} is the own one of account {', '.join(users)}; first: account set --pool ''")
        return await self._put(principal, name, {}, dry_run=order.dry_run)

    async def _put(self, principal: Principal, name: str, members: dict[str, int], *, dry_run: bool) -> PoolView:
        before = self._state.egress.pools.get(name, {})
        if members != before and not dry_run:
            await self._state.egress.put_pool(name, members, principal)
        words = [source if weight == 1 else f"{source}={weight}" for source, weight in before.items()]
        undo = shell("pool", "set", name, *words) if words else shell("pool", "rm", name)
        return self._view(name, members, undo if members != before else "", dry_run=dry_run)

    def _check_known(self, name: str) -> None:
        if not self._state.egress.has_pool(name):
            raise NotFound(f"there is no pool {name!r}; `mailweir pool ls` names them all")

    def _view(
        self, name: str, members: dict[str, int] | None = None, undo: str = "", *, dry_run: bool = False
    ) -> PoolView:
        known = self._state.egress
        own = known.pools.get(name, {}) if members is None else members
        used = Egress("", known.sources.values(), {**known.pools, name: own}).members(name)
        return PoolView(
            name=name,
            members=dict(own),
            leaves_through=[source.name for source in used],
            accounts=_users(self._state, name),
            undo=undo,
            dry_run=dry_run,
        )


class WarmupDesk:
    """Every command takes its Principal first. Plans are counted in the memory of the running relay."""

    def __init__(self, state: State, clock: Clock, egress: Egress | None) -> None:
        self._state, self._clock, self._egress = state, clock, egress

    def list(self, principal: Principal) -> list[WarmupView]:
        check_reader(principal)
        return [self._view(one.name, one.is_warming) for one in self._state.egress.sources.values() if one.is_warming]

    def show(self, principal: Principal, name: str) -> WarmupView:
        check_reader(principal)
        return self._view(name, self._state.egress.source(name).is_warming)

    async def switch(self, principal: Principal, name: str, order: Order, *, on: bool) -> WarmupView:
        """Hold a source back by its plans from now on, or no more; the plans keep where they are."""
        check_operator(principal)
        before = self._state.egress.source(name)
        if before.is_warming != on and not order.dry_run:
            act = Act("warmup.start" if on else "warmup.stop", "", name)
            await self._state.egress.change_source(replace(before, is_warming=on), principal, act)
        undo = shell("warmup", "stop" if on else "start", name) if before.is_warming != on else ""
        return self._view(name, on, undo, dry_run=order.dry_run)

    async def set_stage(self, principal: Principal, name: str, order: StageOrder) -> WarmupView:
        """Go on from another stage with one provider."""
        check_operator(principal)
        source = self._state.egress.source(name)
        if self._egress is None:
            raise Conflict("the stage is counted in the running relay's memory; start it first: mailweir up")
        plan, now = self._egress.warmup.plan, self._clock.unix()
        if order.provider not in plan.shares:
            raise Invalid(f"provider {order.provider!r}: plans are for {', '.join(plan.shares)}")
        last = len(plan.stages) + 1
        if not 1 <= order.stage <= last:
            raise Invalid(f"stage {order.stage}: lies between 1 and {last}, which is warm")
        before = self._egress.warmup.state(name, order.provider, now).stage
        if not order.dry_run:
            act = Act("warmup.set", "", name, {"provider": order.provider, "stage": order.stage, "before": before})
            await self._state.note(principal, act)
            self._egress.warmup.set_stage(name, order.provider, order.stage, now)
        undo = shell("warmup", "set", name, "--provider", order.provider, "--stage", str(before))
        return self._view(name, source.is_warming, undo if before != order.stage else "", dry_run=order.dry_run)

    def _view(self, name: str, is_warming: bool, undo: str = "", *, dry_run: bool = False) -> WarmupView:
        plans = []
        if self._egress is not None:
            warmup, now = self._egress.warmup, self._clock.unix()
            plans = [_plan_view(warmup.state(name, provider, now)) for provider in warmup.plan.shares]
        return WarmupView(source=name, is_warming=is_warming, plans=plans, undo=undo, dry_run=dry_run)


def _users(state: State, pool: str) -> list[str]:
    return [account.name for account in state.accounts.values() if account.pool == pool]


def _plan_view(state: PlanState) -> PlanView:
    shown = {name: value for name, value in asdict(state).items() if name != "source"}
    return PlanView(**shown, per_hour=per_hour(state.quota), is_warm=state.is_warm)
