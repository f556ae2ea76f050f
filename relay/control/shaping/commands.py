"""Commands and questions on destinations: what is in force there, stop it, let it go, give it other numbers.

All of it concerns the mail of every customer, so it takes a principal who sees the whole tree.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime

from msgspec import UNSET

from relay.clock import Clock
from relay.control.access import require, require_whole_tree
from relay.control.audit.chain import Act
from relay.control.checks import shell
from relay.control.errors import Invalid, NotFound
from relay.control.shaping.views import (
    DestinationChanged,
    DestinationView,
    EffectView,
    OverrideOrder,
    ResumeOrder,
    RulesView,
    RuleView,
    SuspendOrder,
)
from relay.control.state.memory import State
from relay.control.views import AuditDetail
from relay.delivery.courier import DestinationStats
from relay.delivery.shaping.effects import FOREVER, ShapingEffect
from relay.delivery.shaping.rules import Kind
from relay.delivery.shaping.shaper import Shaper
from relay.tree import Principal, Role

_DESTINATION = re.compile(r"[\w.:\[\]-]{1,255}")
_SOURCE = re.compile(r"[\w.:-]{0,64}")
_MAX_MINUTES = 366 * 24 * 60
_MAX_RATE = 1_000_000
_COUNTS = ("waiting", "active", "delivered", "deferred", "bounced")


class ShapingDesk:
    """Every method takes its Principal first, checks role, scope and values; commands are audited."""

    def __init__(
        self, state: State, clock: Clock, shaper: Shaper, stats: Callable[[], Sequence[DestinationStats]]
    ) -> None:
        self._state, self._clock, self._shaper, self._stats = state, clock, shaper, stats
        self.on_changed: Callable[[str], None] = lambda _destination: None

    def list(self, principal: Principal) -> list[DestinationView]:
        """Destinations that got mail since the start, or have something in force."""
        _may_see(principal)
        effects, counts = self._shaper.effects(self._clock.unix()), self._counts()
        names = sorted({*counts, *(effect.destination for effect in effects)})
        return [self._view(name, counts.get(name, {}), effects) for name in names]

    def show(self, principal: Principal, destination: str) -> DestinationView:
        _may_see(principal)
        name, counts = _checked_destination(destination), self._counts()
        effects = self._shaper.effects(self._clock.unix())
        if not (self._is_known(name) or any(effect.destination == name for effect in effects)):
            raise NotFound(
                f"there is no destination {name!r}: no mail went there since the start. A domain whose MX is a "
                "provider's has that provider's name; `mailweir dest ls` names all"
            )
        return self._view(name, counts.get(name, {}), effects)

    def rules(self, principal: Principal) -> RulesView:
        _may_see(principal)
        matched, since = self._shaper.matched_at(), self._shaper.since
        rules = [
            RuleView(id=rule.id, matched_at=_instant(matched.get(rule.id))) for rule in self._shaper.providers.rules()
        ]
        return RulesView(since_at=_instant(since or None), rules=rules)

    async def suspend(self, principal: Principal, destination: str, order: SuspendOrder) -> DestinationChanged:
        name, source = self._check(principal, destination, order.source)
        if not order.reason:
            raise Invalid("reason = '': say why; it is shown wherever the suspension is")
        until = self._until(order.minutes)
        if not order.dry_run:
            detail: AuditDetail = {"source": source, "minutes": order.minutes, "why": order.reason}
            await self._state.note(principal, Act("destination.suspend", "", name, detail))
            self._shaper.suspend(name, source, until, order.reason, principal.id, now=self._clock.unix())
            self.on_changed(name)
        effect = self._planned(principal, name, source, Kind.SUSPEND, 0.0, until, order.reason)
        undo = shell("dest", "resume", name, *_source_words(source), "--by-hand")
        return self._changed(name, [effect], undo, dry_run=order.dry_run)

    async def resume(self, principal: Principal, destination: str, order: ResumeOrder) -> DestinationChanged:
        name, source = self._check(principal, destination, order.source)
        now = self._clock.unix()
        ended = [
            effect
            for effect in self._shaper.effects(now)
            if effect.destination == name
            and source in ("", effect.source)
            and (effect.is_suspended_by_hand if order.by_hand else not effect.is_override)
        ]
        if not order.dry_run:
            detail: AuditDetail = {
                "source": source,
                "why": order.reason,
                "ended": ", ".join(effect.rule for effect in ended),
            }
            await self._state.note(principal, Act("destination.resume", "", name, detail))
            self._shaper.resume(name, source, only_by_hand=order.by_hand, now=now)
            self.on_changed(name)
        undo = _suspended_again(ended[0], now) if len(ended) == 1 else ""
        return self._changed(name, ended, undo, dry_run=order.dry_run)

    async def override(self, principal: Principal, destination: str, order: OverrideOrder) -> DestinationChanged:
        name, source = self._check(principal, destination, order.source)
        given = {
            kind: value or 0
            for kind, value in ((Kind.CONNECTIONS, order.connections), (Kind.RATE, order.messages_per_minute))
            if value is not UNSET
        }
        _check_numbers(order)
        now, until = self._clock.unix(), self._until(order.minutes)
        before = [
            effect
            for effect in self._shaper.effects(now)
            if (effect.destination, effect.source) == (name, source) and effect.is_override and effect.kind in given
        ]
        if not order.dry_run:
            detail: AuditDetail = {"source": source, "minutes": order.minutes, "why": order.reason}
            detail |= {kind.value: value or None for kind, value in given.items()}
            await self._state.note(principal, Act("destination.override", "", name, detail))
            self._shaper.override(
                name,
                source,
                connections=int(given[Kind.CONNECTIONS]) if Kind.CONNECTIONS in given else None,
                messages_per_minute=given.get(Kind.RATE),
                until=until,
                why=order.reason,
                author=principal.id,
                now=now,
            )
            self.on_changed(name)
        effects = [
            self._planned(principal, name, source, kind, float(value), until, order.reason)
            for kind, value in given.items()
            if value
        ]
        return self._changed(name, effects, _overridden_back(name, source, given, before, now), dry_run=order.dry_run)

    def _check(self, principal: Principal, destination: str, source: str) -> tuple[str, str]:
        require(principal, Role.OPERATOR)
        require_whole_tree(principal, "change where mail of all customers goes")
        if not _SOURCE.fullmatch(source):
            raise Invalid(f"source = {source!r}: write the name of an egress source, or nothing for all of them")
        return _checked_destination(destination), source

    def _until(self, minutes: float | None) -> float:
        if minutes is None:
            return FOREVER
        if not 0 < minutes <= _MAX_MINUTES:
            raise Invalid(f"minutes = {minutes}: write more than 0 and at most {_MAX_MINUTES}, or leave it out")
        return self._clock.unix() + minutes * 60

    def _planned(
        self, principal: Principal, name: str, source: str, kind: Kind, value: float, until: float, why: str
    ) -> ShapingEffect:
        return ShapingEffect(
            destination=name,
            source=source,
            kind=kind,
            value=value,
            rule="by-hand",
            reply=why,
            since_at=self._clock.unix(),
            until_at=until,
            author=principal.id,
        )

    def _changed(self, name: str, effects: Iterable[ShapingEffect], undo: str, *, dry_run: bool) -> DestinationChanged:
        views = [_effect_view(effect) for effect in effects]
        known = self._is_known(name)
        return DestinationChanged(destination=name, effects=views, is_known=known, undo=undo, dry_run=dry_run)

    def _is_known(self, name: str) -> bool:
        return self._shaper.providers.named(name).name == name or any(row.destination == name for row in self._stats())

    def _counts(self) -> dict[str, dict[str, int]]:
        """By destination; several pools may serve one."""
        found: dict[str, dict[str, int]] = {}
        for row in self._stats():
            counts = found.setdefault(row.destination, dict.fromkeys(_COUNTS, 0))
            for key in _COUNTS:
                counts[key] += getattr(row, key)
        return found

    def _view(self, name: str, counts: dict[str, int], effects: Sequence[ShapingEffect]) -> DestinationView:
        provider = self._shaper.providers.named(name)
        return DestinationView(
            destination=name,
            provider=provider.name,
            connections=provider.connections,
            connections_total=provider.connections_total,
            messages_per_connection=provider.messages_per_connection,
            messages_per_minute=provider.messages_per_minute,
            connections_per_minute=provider.connections_per_minute,
            tls=provider.tls,
            manners=provider.manners,
            effects=[_effect_view(effect) for effect in effects if effect.destination == name],
            **counts,
        )


def _may_see(principal: Principal) -> None:
    require(principal, Role.VIEWER)
    require_whole_tree(principal, "see where mail of all customers goes")


def _checked_destination(text: str) -> str:
    name = text.strip().lower().rstrip(".")
    if not _DESTINATION.fullmatch(name):
        raise Invalid(f"destination {text[:80]!r}: write a provider's name, a domain, or host:port of a smarthost")
    return name


def _check_numbers(order: OverrideOrder) -> None:
    connections, rate = order.connections, order.messages_per_minute
    if connections is UNSET and rate is UNSET:
        raise Invalid("give connections, messages_per_minute or both")
    if isinstance(connections, int) and not 1 <= connections <= 1000:
        raise Invalid(f"connections = {connections}: write 1 to 1000; to send nothing, suspend")
    if isinstance(rate, int | float) and not 0 < rate <= _MAX_RATE:
        raise Invalid(f"messages_per_minute = {rate}: write more than 0, at most {_MAX_RATE}; to send nothing, suspend")


def _suspended_again(effect: ShapingEffect, now: float) -> str:
    if effect.kind is not Kind.SUSPEND:
        return ""
    words = [*_source_words(effect.source), *_minutes_words(effect.until_at, now), "--reason", effect.reply[:200]]
    return shell("dest", "suspend", effect.destination, *words)


def _overridden_back(name: str, source: str, given: Iterable[Kind], before: Sequence[ShapingEffect], now: float) -> str:
    earlier = {effect.kind: effect for effect in before}
    words = list(_source_words(source))
    for kind in given:
        value = f"{earlier[kind].value:g}" if kind in earlier else "default"
        words += ["--connections" if kind is Kind.CONNECTIONS else "--per-minute", value]
    if before:
        words += _minutes_words(before[0].until_at, now)
    words += ["--reason", before[0].reply if before and before[0].reply else "undo"]
    return shell("dest", "override", name, *words)


def _source_words(source: str) -> list[str]:
    return ["--source", source] if source else []


def _minutes_words(until: float, now: float) -> list[str]:
    return [] if until >= FOREVER else ["--minutes", f"{max(0.1, (until - now) / 60):.1f}"]


def _effect_view(effect: ShapingEffect) -> EffectView:
    return EffectView(
        destination=effect.destination,
        source=effect.source,
        kind=effect.kind.value,
        value=effect.value,
        rule=effect.rule,
        reply=effect.reply,
        since_at=datetime.fromtimestamp(effect.since_at, UTC),
        until_at=None if effect.until_at >= FOREVER else datetime.fromtimestamp(effect.until_at, UTC),
        author=effect.author,
        blames=effect.blames,
        times=effect.times,
    )


def _instant(unix: float | None) -> datetime | None:
    return None if unix is None else datetime.fromtimestamp(unix, UTC)
