"""The guard steps that look at whose message it is: account, standing, limits, domains, triggers."""

from datetime import timedelta
from typing import assert_never

from relay.events import Action
from relay.policy.decisions.decision import PARKED, PARKING, Effect, Proposal, Standing
from relay.policy.decisions.ladder import Rung, early_end, rung
from relay.policy.decisions.proposals import account_wide, is_fresh, proposed, released
from relay.policy.decisions.why import facts, facts_of
from relay.policy.limits.claims import numbers, refusal
from relay.policy.triggers.newcomers import group_alarm
from relay.policy.triggers.posterior import share
from relay.policy.triggers.sequential import Alarm, alarms
from relay.policy.verdict.lockdown import Lock
from relay.policy.verdict.steps import Aside, Case, Match, because, exempted, reply, sender_name
from relay.reply import printable
from relay.tree import NEWCOMERS_HELD

TEMPORARY_BLOCK = timedelta(minutes=15)  # spec 2.1: a retry is invited this long, then the author gets a bounce


def account_suspended(case: Case) -> Match | str:
    account = case.inputs.account
    if not account.is_suspended:
        return "the account is in good standing"
    text = (
        f"[ESA] sender {sender_name(case)} refused: account {printable(account.name, 80)} is suspended "
        "until a person releases it (rule account_suspended)"
    )
    detail = f"account {account.name} is suspended"
    return Match(Action.REJECT, "account_suspended", detail, reply(550, "5.7.1", text))


def sender_suspended(case: Case) -> Match | str:
    state = case.inputs.state
    if state.standing is not Standing.SUSPENDED:
        return f"the sender's standing is {state.standing.value}"
    text = f"[ESA] {because(case)}"
    return Match(Action.REJECT, "sender_suspended", because(case), reply(550, "5.7.1", text))


def sender_blocked(case: Case) -> Match | str:
    state = case.inputs.state
    if state.standing is not Standing.BLOCKED:
        return "not blocked"
    if state.decision is None or case.now - state.decision.proposal.starts_at >= TEMPORARY_BLOCK:
        return Match(Action.REJECT, "sender_blocked", because(case), reply(550, "5.7.1", f"[TSB] {because(case)}"))
    return Match(Action.DEFER, "sender_blocked", because(case), reply(450, "4.7.1", f"[TSA] {because(case)}"))


def over_limit(case: Case) -> Match | str:
    limit = case.inputs.limit
    if not limit.is_allowed:
        return Match(Action.DEFER, "rate_limit", f"{limit.whose} over {limit.name}: {numbers(limit)}", refusal(limit))
    if limit.due_unix is not None:
        return f"{limit.whose} over {limit.name}, delayed: {numbers(limit)}"
    return f"{limit.used} of {limit.limit} recipients used in 60 min" if limit.limit else "no limit"


def binding(case: Case) -> Match | str:
    domain = case.inputs.foreign_domain
    if not domain:
        return "the login may send as this author"
    detail = f"From: names {printable(domain, 80)}, and this login is bound to other domains"
    text = f"[FROM] sender {sender_name(case)} refused: {detail} (rule sender_domain; this message only)"
    return Match(Action.REJECT, "sender_domain", detail, reply(550, "5.7.1", text))


def lockdown(case: Case) -> Match | str:
    found = case.inputs.lockdown
    domain, record = printable(found.domain, 120), printable(found.record, 300)
    match found.lock:
        case Lock.NOT_ASKED:
            return "not asked"
        case Lock.OPEN:
            return f"the owner of {domain} restricts nobody"
        case Lock.ALLOWED:
            return f"allowed by {record}"
        case Lock.REFUSED:
            text = f"[DL] sender {sender_name(case)} may not use the domain {domain}: its owner's record names others"
            return Match(Action.REJECT, "lockdown", f"not named by {record}", reply(550, "5.7.1", text))
        case Lock.UNKNOWN:
            who = sender_name(case)
            text = f"[DL] whether sender {who} may use the domain {domain} cannot be told now; try again later"
            return Match(Action.DEFER, "lockdown", printable(found.error, 300), reply(451, "4.4.3", text))
        case _:
            assert_never(found.lock)


def sender_held(case: Case) -> Match | Aside | str:
    inputs = case.inputs
    if inputs.state.standing is not Standing.HELD:
        return "not held"
    ended = early_end(inputs.state, inputs.signal, case.policy)
    if ended is None:
        return Match(Action.HOLD, "sender_held", because(case))
    return Aside(f"the hold ends: {ended.reason}", [released(case, ended)])


def trigger(case: Case) -> Match | Aside | str:
    inputs, calm, asides = case.inputs, "", list[Proposal]()
    if exempt := exempted(case):
        return exempt
    for alarm in alarms(inputs.signal, case.policy):
        if not is_fresh(case.now, inputs.state, inputs.signal.counted_from_unix, alarm):
            calm += f"; {alarm.rule} rests on evidence from before the sender was reinstated"
            continue
        found = rung(alarm, inputs.state, case.now, case.policy)
        if found is None:
            calm += f"; {alarm.rule}: has its effect already"
        elif found.effect in PARKING:
            return _stopped(case, alarm, found)
        elif not asides or asides[0].effect is Effect.WATCH:
            asides = [proposed(case, alarm, found, inputs.sender.key)]
    if asides:
        return Aside(f"{asides[0].reason}: {asides[0].effect}", asides)
    signal = inputs.signal
    return (
        f"{share(signal.spam_count, signal.seen)} scored as spam in 60 min, P(rate > line) = {signal.certainty:.4f}"
        f"{calm}"
    )


def newcomers(case: Case) -> Match | str:
    group = case.inputs.group
    if group is None:
        return "not a new sender"
    if case.inputs.state.is_reinstated(case.now):
        return "a new sender that a person has released"
    if exempt := exempted(case):
        return exempt
    if group.state.standing in PARKED:
        decision = group.state.decision
        return Match(Action.HOLD, NEWCOMERS_HELD, facts(decision, case.now) if decision else "new senders are held")
    signal, alarm = group.signal, group_alarm(group.signal, case.policy)
    stale = ""
    if alarm:
        if is_fresh(case.now, group.state, signal.counted_from_unix, alarm):
            held = Rung(Effect.HOLD, case.now + timedelta(minutes=case.policy.hold_minutes))
            return Match(Action.HOLD, alarm.rule, alarm.reason, proposals=[proposed(case, alarm, held, group.key)])
        stale = f"; {alarm.rule} rests on evidence from before their release"
    spam = f"{share(signal.spam_count, signal.seen)} scored as spam in 60 min"
    return f"new senders together: {spam}, from {len(signal.senders)} of them{stale}"


def _stopped(case: Case, alarm: Alarm, found: Rung) -> Match:
    """The alarm stops the sender: the message at hand fares as its sender does from now on."""
    own = proposed(case, alarm, found, case.inputs.sender.key)
    proposals = [own, *account_wide(case)]
    text = facts_of(own, case.now)
    match found.effect:
        case Effect.SUSPEND:
            return Match(Action.REJECT, alarm.rule, own.reason, reply(550, "5.7.1", f"[ESA] {text}"), proposals)
        case Effect.BLOCK:
            return Match(Action.DEFER, alarm.rule, own.reason, reply(450, "4.7.1", f"[TSA] {text}"), proposals)
        case _:
            return Match(Action.HOLD, alarm.rule, own.reason, proposals=proposals)
