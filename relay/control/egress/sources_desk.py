"""Commands on egress sources. For operators who see the whole tree: an address is nobody's alone."""

import ipaddress
import socket
from dataclasses import replace
from datetime import UTC, datetime

from msgspec import UNSET

from relay.clock import Clock
from relay.control.access import require, require_whole_tree
from relay.control.accounts.views import Order
from relay.control.audit.chain import Act
from relay.control.checks import checked_domain, checked_name, shell
from relay.control.egress.views import NewSource, SourceChange, SourceView, StandOrder, TroubleView
from relay.control.errors import Invalid
from relay.control.state.memory import State
from relay.delivery.egress.egress import IMPLICIT, Egress
from relay.delivery.egress.sources import EgressSource, SourceState
from relay.tree import Principal, Role

_VERB = {SourceState.ACTIVE: "activate", SourceState.QUARANTINED: "quarantine", SourceState.RETIRED: "retire"}


class SourcesDesk:
    """Every command takes its Principal first and checks role, scope and values. `egress`: the running relay's."""

    def __init__(self, state: State, clock: Clock, egress: Egress | None) -> None:
        self._state, self._clock, self._egress = state, clock, egress

    def list(self, principal: Principal) -> list[SourceView]:
        check_reader(principal)
        return [self._view(source) for source in self._state.egress.sources.values()]

    def show(self, principal: Principal, name: str) -> SourceView:
        check_reader(principal)
        return self._view(self._state.egress.source(name))

    async def add(self, principal: Principal, new: NewSource) -> SourceView:
        check_operator(principal)
        if new.name == IMPLICIT:
            raise Invalid(f"name {IMPLICIT!r} stands for sending without any source; take another")
        source = EgressSource(
            name=checked_name(new.name, "source"),
            address=_checked_address(new.address, force=new.force),
            ehlo=checked_domain(new.ehlo) if new.ehlo else "",
            is_warming=new.is_warming,
        )
        self._state.egress.check_free(source)
        if not new.dry_run:
            source = await self._state.egress.add_source(source, principal)
        warm = "" if source.is_warming else f"it counts as warm; if it is new: {shell('warmup', 'start', source.name)}"
        return self._view(source, shell("ip", "rm", source.name), warm, dry_run=new.dry_run)

    async def change(self, principal: Principal, name: str, change: SourceChange) -> SourceView:
        """Change address or EHLO name."""
        check_operator(principal)
        before, after = self._state.egress.source(name), self._state.egress.source(name)
        if change.address is not UNSET:
            after = replace(after, address=_checked_address(change.address, force=change.force))
        if change.ehlo is not UNSET:
            after = replace(after, ehlo=checked_domain(change.ehlo) if change.ehlo else "")
        if after == before:
            return self._view(before, dry_run=change.dry_run)
        self._state.egress.check_free(after, besides=name)
        words = [] if before.address == after.address else ["--address", before.address]
        words += [] if before.ehlo == after.ehlo else ["--ehlo", before.ehlo]
        if not change.dry_run:
            act = Act("ip.set", "", name, {"address": after.address, "ehlo": after.ehlo})
            await self._state.egress.change_source(after, principal, act)
        return self._view(after, shell("ip", "set", name, *words), dry_run=change.dry_run)

    async def stand(self, principal: Principal, name: str, state: SourceState, order: StandOrder) -> SourceView:
        """Activate, quarantine or retire. Activated, it is forgiven what destinations held against it."""
        check_operator(principal)
        before = self._state.egress.source(name)
        after = replace(before, state=state)
        note = "" if state is SourceState.ACTIVE else self._left_without(name)
        if not order.dry_run:
            if after != before:
                why = {**order.evidence, "reason": order.reason} if order.reason else order.evidence
                await self._state.egress.change_source(after, principal, Act(f"ip.{_VERB[state]}", "", name, why))
            if self._egress and state is SourceState.ACTIVE:
                self._egress.ip_states.wake(name)
        undo = shell("ip", _VERB[before.state], name) if after != before else ""
        return self._view(after, undo, note, dry_run=order.dry_run)

    async def remove(self, principal: Principal, name: str, order: Order) -> SourceView:
        """Forget a source that no pool has; its warm-up too."""
        check_operator(principal)
        source = self._state.egress.source(name)
        self._state.egress.check_unused(name)
        if not order.dry_run:
            await self._state.egress.remove_source(name, principal)
            if self._egress:
                self._egress.forget(name)
        words = ["--ehlo", source.ehlo] if source.ehlo else []
        words += ["--warm-up"] if source.is_warming else []
        return self._view(source, shell("ip", "add", name, source.address, *words), dry_run=order.dry_run)

    def complained(self, address: str, destination: str) -> None:
        """Count a complaint about mail that left from an address for the warm-up of its source, if it has one."""
        if self._egress is None or not address or not destination:
            return
        for source in self._state.egress.sources.values():
            if source.address == address:
                self._egress.complained(source.name, destination, 1, self._clock.unix())

    def _left_without(self, name: str) -> str:
        """In words, the pools whose only working member this is."""
        egress = self._state.egress
        alone = [
            pool
            for pool in egress.pools_of(name)
            if not any(
                egress.sources[other].state is SourceState.ACTIVE for other in egress.pools[pool] if other != name
            )
        ]
        if not any(one.state is SourceState.ACTIVE for one in egress.sources.values() if one.name != name):
            return "no other source is active: mail waits until one is"
        where = "through all other sources" if "fair" in alone else "through those of pool fair"
        return f"pool {', '.join(alone)} has no other source: its mail leaves {where}" if alone else ""

    def _view(self, source: EgressSource, undo: str = "", note: str = "", *, dry_run: bool = False) -> SourceView:
        pools = self._state.egress.pools
        return SourceView(
            name=source.name,
            address=source.address,
            ehlo=source.ehlo,
            state=source.state,
            is_warming=source.is_warming,
            created_at=source.created_at,
            pools={pool: pools[pool][source.name] for pool in self._state.egress.pools_of(source.name)},
            troubles=_troubles(self._egress, source.name, self._clock.unix()),
            note=note,
            undo=undo,
            dry_run=dry_run,
        )


def check_reader(principal: Principal) -> None:
    require(principal, Role.VIEWER)
    require_whole_tree(principal, "see the addresses it sends from")


def check_operator(principal: Principal) -> None:
    require(principal, Role.OPERATOR)
    require_whole_tree(principal, "change the addresses it sends from")


def _troubles(egress: Egress | None, name: str, now: float) -> list[TroubleView]:
    low = [
        TroubleView(destination=one.destination, kind=one.band, until_at=datetime.fromtimestamp(one.until_unix, UTC))
        for one in (egress.bands.low(now) if egress else ())
        if one.source == name
    ]
    return low + [
        TroubleView(
            destination=one.destination,
            kind=one.kind,
            until_at=datetime.fromtimestamp(one.until_unix, UTC) if one.until_unix else None,
            deferred_share=one.deferred_share,
        )
        for one in (egress.ip_states.troubles(now) if egress else ())
        if one.source == name
    ]


def _checked_address(text: str, *, force: bool) -> str:
    try:
        address = ipaddress.ip_address(text.strip())
    except ValueError as error:
        raise Invalid(f"address {text!r}: {error}. Write one like 192.0.2.7 or 2001:db8::7") from None
    if address.is_unspecified or address.is_multicast:
        raise Invalid(f"address {address}: mail cannot be sent from it; write one of this machine's own")
    if not force and not _is_here(str(address)):
        raise Invalid(f"address {address}: this machine does not have it; add it to an interface first, or use --force")
    return str(address)


def _is_here(address: str) -> bool:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.bind((address, 0))
    except OSError:
        return False
    return True
