"""The story told live in the terminal, in plain sentences, while the dashboard shows it."""

from dataclasses import dataclass
from urllib.parse import quote

from analytics.simulation.ledger import Ledger, Sent, delays, p95
from analytics.simulation.plot import (
    ATTACK_RATE,
    delivered,
    first_abuse_unix,
    start_attack,
    until,
    until_held,
    until_released,
    waiting,
)
from analytics.simulation.stage import LIVE_RATE, Stage
from analytics.simulation.teller import Teller
from relay.control.views import DecisionView

_RECENT_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Pace:
    """How long things last, in seconds: calm before the attack, the attack itself, between two status lines."""

    calm: float = 60.0
    attack: float = 180.0
    status: float = 30.0


async def tell_story(stage: Stage, pace: Pace, tell: Teller) -> None:
    """Play and tell; returns never by itself: the caller ends it."""
    _introduce(stage, pace, tell)
    stage.customers.start(LIVE_RATE)
    await stage.clock.sleep(min(pace.calm, 15.0))
    tell.say(_status(stage))
    await stage.clock.sleep(max(0.0, pace.calm - 15.0))
    before = p95(delays(stage.ledger.honest()))
    victim = stage.victim
    tell.say(
        f"Attack: {victim.name} has not updated its WordPress. {victim.site}/{victim.script} now sends about "
        f"{ATTACK_RATE:g} spam messages a second, through the same login as 39 other sites.",
        "bold red",
    )
    await start_attack(stage)
    attack_ends_unix = stage.clock.unix() + pace.attack
    decision = await until_held(stage, pace.attack)
    if decision is None:
        tell.say("The sender was not held. That is not how this story should go: see the logs.", "bold red")
    else:
        await _tell_hold(stage, decision, before, tell)
        await _tell_release(stage, decision, attack_ends_unix, tell)
    stage.customers.stop_attack()
    while True:
        await stage.clock.sleep(pace.status)
        tell.say(_status(stage))


def _introduce(stage: Stage, pace: Pace, tell: Teller) -> None:
    world = stage.world
    senders = sum(len(one.senders) for one in world.customers)
    tell.show("")
    tell.show(f"  Dashboard   {stage.dashboard_url}", "bold")
    tell.show(f"  Settings    {stage.made.config}")
    tell.show("  Everything here is demo data; nothing can leave this machine. Ctrl-C ends it.")
    tell.show("")
    tell.say(
        f"{len(world.customers)} customers with {senders} end senders send about {LIVE_RATE:g} messages a second to "
        f"{len(world.providers)} mailbox providers. 40 of the senders share one server, sunhost."
    )
    tell.say(f"In {pace.calm:g} seconds one of them will be hacked.")


async def _tell_hold(stage: Stage, decision: DecisionView, before: float | None, tell: Teller) -> None:
    held_unix = decision.starts_at.timestamp()
    count = sum(0 < one.began_unix <= held_unix for one in stage.ledger.abusive())
    seconds = max(0.0, held_unix - first_abuse_unix(stage))
    await until(stage, lambda: _is_answered(stage, held_unix), 5.0)
    tell.say(
        f"Held after {count} messages, {seconds:.1f} s after the first. {delivered(stage.ledger.abusive())} of them "
        "had reached a mailbox.",
        "bold green",
    )
    tell.say(f"Why: {decision.sentence}")
    url = f"{stage.dashboard_url}/decisions?decision={quote(decision.id)}"
    tell.say(f"Release it with the button on {url}")
    tell.show(f"          or with: MAILWEIR_CONFIG={stage.made.config} {decision.undo}")
    recent = p95(delays(stage.ledger.honest("attack")))
    if before and recent:
        tell.say(f"Everybody else: 95 of 100 messages arrive within {recent:.2f} s (before the attack {before:.2f} s).")


def _is_answered(stage: Stage, held_unix: float) -> bool:
    """Tell whether the relay has answered everything the attacker had begun when he was held."""
    return all(one.code for one in stage.ledger.abusive() if 0 < one.began_unix <= held_unix)


async def _tell_release(stage: Stage, decision: DecisionView, attack_ends_unix: float, tell: Teller) -> None:
    """Wait for the button until the attack is over and on, with a status line each half minute."""
    while True:
        released = await until_released(stage, decision, 30.0)
        if released is not None:
            break
        if stage.clock.unix() >= attack_ends_unix and stage.customers.stop_attack():
            tell.say("The site's owner has removed the plugin: the spam stops. What was held stays held.")
        tell.say(_status(stage))
    stage.customers.stop_attack()
    by = f" by {released.released_by}" if released.released_by else ""
    tell.say(f"Released{by}: the held messages go out, and the plugin falls silent (this is a demo).", "bold")
    all_arrived = await until(stage, lambda: not waiting(stage), 60.0)
    arrived = sum(one.is_held and bool(one.arrivals) for one in stage.ledger.abusive())
    tell.say(
        f"{arrived} held messages have arrived, "
        + ("none is missing." if all_arrived else f"{len(waiting(stage))} are still on their way.")
    )


def _status(stage: Stage) -> str:
    since = stage.clock.unix() - _RECENT_SECONDS
    recent = [one for one in stage.ledger.honest() if one.began_unix >= since]
    late = p95(delays(recent))
    spam = stage.ledger.abusive()
    parts = [f"{len(recent)} honest messages in the last minute, {_troubled(recent)}"]
    if late is not None:
        parts.append(f"95 of 100 arrive within {late:.2f} s")
    if spam:
        refused = sum(one.code >= 400 for one in spam)
        parts.append(
            f"spam so far: {len(spam)} sent, {delivered(spam)} delivered, {refused} refused, "
            f"{_parked(stage.ledger)} held"
        )
    return "; ".join(parts) + "."


def _troubled(entries: list[Sent]) -> str:
    held = sum(one.is_held for one in entries)
    refused = sum(one.code >= 400 for one in entries)
    return f"{held} held, {refused} refused" if held or refused else "none held, none refused"


def _parked(ledger: Ledger) -> int:
    return sum(one.is_ours and not one.arrivals and one.is_living for one in ledger.abusive())
