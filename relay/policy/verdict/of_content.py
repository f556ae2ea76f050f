"""The guard steps that look at what a message says: certain rules, then the score."""

from collections.abc import Sequence

from relay.events import Action, Hit
from relay.policy.decisions.decision import Standing
from relay.policy.verdict.certain import heaviest
from relay.policy.verdict.steps import Case, Inputs, Match, exempted, reply, sender_name
from relay.reply import printable

MALWARE = "MW"  # no exemption covers it


def rule_refused(case: Case) -> Match | str:
    hit = heaviest(_hits(case), Action.REJECT)
    if hit is None:
        unchecked = printable(", ".join(case.inputs.unchecked), 300)
        return f"met no rule that refuses{f'; not checked: {unchecked}' if unchecked else ''}"
    text = (
        f"[{hit.code}] message {printable(case.queue_id, 40)} of sender {sender_name(case)} refused: {hit.seen} "
        f"(rule {hit.rule}; this message only)"
    )
    return Match(Action.REJECT, f"content_{hit.rule}", hit.seen, reply(550, "5.7.1", text))


def rule_held(case: Case) -> Match | str:
    hits = case.inputs.hits
    hit = heaviest(_hits(case), Action.HOLD)
    if hit is None:
        return f"met {', '.join(hit.rule for hit in hits)}: for information" if hits else "met no rule"
    return Match(Action.HOLD, f"content_{hit.rule}", hit.seen)


def unscored(case: Case) -> Match | str:
    if case.inputs.score is not None:
        return "scored"
    if not case.inputs.error:
        return "no model in use"
    return Match(Action.HOLD, "unscored", f"not scored: {printable(case.inputs.error, 200)}")


def content_refused(case: Case) -> Match | str:
    inputs, policy = case.inputs, case.policy
    if exempt := exempted(case):
        return exempt
    line = policy.hold_score if inputs.state.standing is Standing.THROTTLED else policy.reject_score
    if inputs.score is None or inputs.score < line:
        return f"{_score(inputs)} below {line:g}"
    detail = f"{_score(inputs)}, refused from {line:g}{_reasons(inputs)}"
    if inputs.signal.history > policy.known_after and inputs.state.standing is Standing.OK:
        return Match(
            Action.HOLD, "content", f"{detail}; held instead: known sender, {inputs.signal.history} messages of history"
        )
    text = (
        f"[SS] message {printable(case.queue_id, 40)} of sender {sender_name(case)} refused: content {_score(inputs)}, "
        f"refused from {line:g} (rule content; this message only)"
    )
    return Match(Action.REJECT, "content", detail, reply(550, "5.7.1", text))


def content_held(case: Case) -> Match | str:
    inputs, line = case.inputs, case.policy.hold_score
    if exempt := exempted(case):
        return exempt
    if inputs.score is None or inputs.score < line:
        return f"{_score(inputs)} below {line:g}"
    return Match(Action.HOLD, "content", f"{_score(inputs)}, held from {line:g}{_reasons(inputs)}")


def _hits(case: Case) -> Sequence[Hit]:
    if case.inputs.exempt is None:
        return case.inputs.hits
    return [hit for hit in case.inputs.hits if hit.code == MALWARE]


def _score(inputs: Inputs) -> str:
    return "no score" if inputs.score is None else f"scored {inputs.score:.3f} as spam"


def _reasons(inputs: Inputs) -> str:
    return f" ({printable(', '.join(inputs.reasons[:3]), 120)})" if inputs.reasons else ""
