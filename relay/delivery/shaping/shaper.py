"""How fast which destination gets mail from which egress source: the one Shaper of a relay. Pure, no clock, no I/O.

Asked for each connection and message, so what is asked often costs two look-ups and some comparisons. Must never learn
from an OwnReply: a suspension would prolong itself.

Every method takes a destination (a provider's name, else the domain) and a source; `now` is Unix seconds.
"""

from collections.abc import Callable, Iterable

from relay.delivery.replies import OwnReply
from relay.delivery.shaping import aimd, google
from relay.delivery.shaping.effects import (
    ShapingEffect,
    blames_of,
    is_about_connections,
    is_rate_reply,
    is_senders_own,
)
from relay.delivery.shaping.lane import Lane, learned_effects, procedure_effect
from relay.delivery.shaping.lanes import Lanes, put
from relay.delivery.shaping.providers import Providers
from relay.delivery.shaping.rules import Kind, ShapingRule
from relay.reply import Reply

_BUSY_SECONDS = 1.0  # as many connections as may be: one may have ended then
_OPENING_SECONDS = 1.0  # a connection that would wait longer for its first message is not opened yet
_ASK_AGAIN_SECONDS = 900.0  # what is stopped for longer is asked about anew: a person may end it earlier
_BY_HAND = "by-hand"


class Shaper:
    """See the module."""

    def __init__(self, providers: Providers) -> None:
        self._lanes = Lanes(providers)

    def take_up(self, providers: Providers) -> None:
        """Hold to another table from the next question on; what is in force stays so."""
        self._lanes.take_up(providers)

    @property
    def providers(self) -> Providers:
        return self._lanes.providers

    # ---- asked for each connection and message ----

    def open_wait(self, destination: str, source: str, now: float) -> float:
        """0: one more connection may be opened now; it does not count until `opened`. Else ask again in so many s."""
        lanes = self._lanes
        place = lanes.places.get(destination) or lanes.make_place(destination)
        lane = place.lanes.get(source) or lanes.make_lane(destination, source)
        if now >= lane.changes_at:
            lanes.refresh(lane, now)
        if lane.resumes_at > now:
            return min(lane.resumes_at - now, _ASK_AGAIN_SECONDS)
        total = place.provider.connections_total
        if lane.open >= lane.connections or (total is not None and place.open >= total):
            return _BUSY_SECONDS
        wait = lane.pace.wait(now)
        return max(lane.opening.wait(now), wait if wait > _OPENING_SECONDS else 0.0)

    def opened(self, destination: str, source: str, now: float) -> None:
        """Count a connection, from the start of dialling on."""
        self._lanes.see(now)
        lane = self._lanes.make_lane(destination, source)
        lane.opening.take(now)
        lane.open += 1
        self._lanes.places[destination].open += 1

    def closed(self, destination: str, source: str, now: float) -> None:
        """Count it no more; to be called once for each `opened`."""
        lane = self._lanes.make_lane(destination, source)
        if lane.open:
            lane.open -= 1
            self._lanes.places[destination].open -= 1

    def message_wait(self, destination: str, source: str, now: float) -> float:
        """0: one more message may go now, and is counted. Else nothing is counted; ask again in so many seconds."""
        lanes = self._lanes
        place = lanes.places.get(destination) or lanes.make_place(destination)
        lane = place.lanes.get(source) or lanes.make_lane(destination, source)
        if now >= lane.changes_at:
            lanes.refresh(lane, now)
        if lane.resumes_at > now:
            return min(lane.resumes_at - now, _ASK_AGAIN_SECONDS)
        if lane.pace.interval:
            wait = lane.pace.take(now)
            if wait > 0:
                return wait
        if now >= lane.minute_ends_at:
            lane.roll(now)
        lane.sent += 1
        return 0.0

    def give_back(self, destination: str, source: str) -> None:
        """The message counted last did not leave. To be called at once, before another one is counted."""
        lane = self._lanes.make_lane(destination, source)
        lane.pace.give_back()
        lane.sent = max(0, lane.sent - 1)

    def messages_per_connection(self, destination: str, source: str, now: float) -> int:
        """How many messages a connection may carry; 1 while more are open than may be, so that some end."""
        lane = self._lanes.make_lane(destination, source)
        if now >= lane.changes_at:
            self._lanes.refresh(lane, now)
        return 1 if lane.open > lane.connections else lane.messages_per_connection

    def tls_of(self, destination: str) -> str:
        """The provider's TLS; "": whatever the settings say."""
        return self.providers.named(destination).tls

    # ---- told ----

    def heard(self, destination: str, source: str, reply: Reply, now: float) -> list[ShapingEffect]:
        """Draw the consequences of a peer's 4yz or 5yz; return the effects that are new."""
        if isinstance(reply, OwnReply) or not (reply.is_transient or reply.is_permanent):
            return []
        self._lanes.see(now)
        lane, line = self._lanes.make_lane(destination, source), str(reply)
        provider = lane.provider
        if provider.manners == "google" and google.is_refusal(reply):
            return self._stop(lane, reply, now)
        for rule in provider.rules:
            if rule.matches(line):
                self._lanes.note_match(lane, rule.id, now)
                if lane.reaches(rule, now):
                    return self._fire(lane, rule, line, now)
        if provider.manners == "aimd" and is_rate_reply(reply):
            return self._learn(lane, line, now)
        return []

    def succeeded(self, destination: str, source: str, now: float) -> None:
        """A message was taken."""
        place = self._lanes.places.get(destination)
        lane = place.lanes.get(source) if place is not None else None
        if lane is None or lane.procedure is None or google.is_stopped(lane.procedure, now):
            return
        before = lane.procedure
        lane.procedure = google.works(before, lane.provider.connections, now)
        if lane.procedure is not before:
            self._lanes.changed(lane, now)

    def _stop(self, lane: Lane, reply: Reply, now: float) -> list[ShapingEffect]:
        """Google's procedure; what the reply blames on the sender would be refused from any address."""
        blames = blames_of(reply.text)
        if is_senders_own(blames):
            until = now + google.STOP_SECONDS
            return [_effect(lane, Kind.BLAME, 0.0, "google", str(reply), (now, until), blames=blames)]
        was_stopped = lane.procedure is not None and google.is_stopped(lane.procedure, now)
        lane.procedure = google.stop(lane.procedure, str(reply), blames, now)
        self._lanes.changed(lane, now)
        return [] if was_stopped else [procedure_effect(lane, lane.procedure, now)]

    def _fire(self, lane: Lane, rule: ShapingRule, line: str, now: float) -> list[ShapingEffect]:
        new = []
        for change in rule.changes:
            effect = _effect(lane, change.kind, change.value, rule.id, line, (now, now + rule.duration_seconds))
            if put(lane, effect):
                new.append(effect)
        self._lanes.changed(lane, now)
        return new

    def _learn(self, lane: Lane, line: str, now: float) -> list[ShapingEffect]:
        self._lanes.refresh(lane, now)
        rates = () if is_about_connections(line) else (lane.pace.per_minute, lane.observed(now))
        rate = min((rate for rate in rates if rate), default=0.0)
        learned = lane.learned = aimd.cut(lane.learned, rate, lane.connections, line, now)
        self._lanes.changed(lane, now)
        # one connection and no rate known: there is nothing to halve, and it is over at once
        is_new = learned.cut_at == now < aimd.ends_at(learned)
        return learned_effects(lane, learned, now) if is_new else []

    # ---- operator and status ----

    def effects(self, now: float) -> list[ShapingEffect]:
        """Everything in force, oldest first."""
        self._lanes.see(now)
        found = [effect for lane in self._lanes.holding() for effect in lane.in_force(now)]
        return sorted(found, key=lambda effect: effect.since_at)

    def suspend(self, destination: str, source: str, until: float, why: str, author: str, *, now: float) -> None:
        """Send nothing there; source "": from no source."""
        self._by_hand(destination, source, (Kind.SUSPEND, 0.0), (now, until), (why, author))

    def override(
        self,
        destination: str,
        source: str,
        *,
        connections: int | None = None,
        messages_per_minute: float | None = None,
        until: float,
        why: str,
        author: str,
        now: float,
    ) -> None:
        """Put other numbers in the place of the provider's; rules and what is learned still lower them. 0: end it."""
        for kind, value in ((Kind.CONNECTIONS, connections), (Kind.RATE, messages_per_minute)):
            if value == 0:
                lane = self._lanes.make_lane(destination, source)
                self._end([lane], now, lambda effect, kind=kind: effect.is_override and effect.kind is kind)  # type: ignore[misc]
            elif value is not None:
                self._by_hand(destination, source, (kind, float(value)), (now, until), (why, author))

    def resume(
        self, destination: str, source: str = "", *, only_by_hand: bool = False, now: float
    ) -> list[ShapingEffect]:
        """End suspensions, rules' effects and what was learned; source "": of every source. Overrides stay.

        only_by_hand: end nothing but what an operator suspended. Returns what has ended.
        """

        def is_meant(effect: ShapingEffect) -> bool:
            return effect.is_suspended_by_hand if only_by_hand else not effect.is_override

        lanes = self._lanes.of(destination, source)
        ended = [effect for lane in lanes for effect in lane.in_force(now) if is_meant(effect)]
        for lane in lanes if not only_by_hand else ():
            lane.learned = lane.procedure = None
            lane.matches.clear()
        self._end(lanes, now, is_meant)
        return ended

    def matched_at(self) -> dict[str, float]:
        """When each rule matched last; rules that never did are missing."""
        return dict(self._lanes.matched)

    @property
    def since(self) -> float:
        """Since when replies are watched; 0: not yet."""
        return self._lanes.since

    def _by_hand(
        self,
        destination: str,
        source: str,
        change: tuple[Kind, float],
        span: tuple[float, float],
        word: tuple[str, str],
    ) -> None:
        lane = self._lanes.make_lane(destination, source)
        why, author = word
        put(lane, _effect(lane, *change, _BY_HAND, why, span, author=author))
        self._lanes.changed(lane, span[0])

    def _end(self, lanes: Iterable[Lane], now: float, is_meant: Callable[[ShapingEffect], bool]) -> None:
        for lane in lanes:
            lane.effects[:] = [effect for effect in lane.effects if not is_meant(effect)]
            self._lanes.changed(lane, now)

    # ---- counters.Source: the table "shaping" ----

    def dirty(self) -> list[tuple[str, bytes]]:
        return self._lanes.dirty()

    def load(self, rows: Iterable[tuple[str, bytes]]) -> int:
        return self._lanes.load(rows)


def _effect(
    lane: Lane,
    kind: Kind,
    value: float,
    rule: str,
    reply: str,
    span: tuple[float, float],
    *,
    author: str = "",
    blames: str = "",
) -> ShapingEffect:
    return ShapingEffect(
        destination=lane.destination,
        source=lane.source,
        kind=kind,
        value=value,
        rule=rule,
        reply=reply,
        since_at=span[0],
        until_at=span[1],
        author=author,
        blames=blames,
    )
