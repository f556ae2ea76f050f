"""Judges a journal record again: by the policy it was judged by, or by another one.

Pure. A record is judged by what was known of its sender then: counts, standing, limits. What another policy's earlier
decisions would have changed in those is not followed, and suspects stay counted as they were.
"""

import dataclasses

import msgspec

from relay.events import Judged
from relay.policy.triggers.newcomers import Group
from relay.policy.triggers.sequential import SignalState, spam_certainty
from relay.policy.verdict.judge import Inputs, Verdict, judge, version_of
from relay.policy.verdict.loops import loop_verdict
from relay.policy.verdict.recorded import unpacked
from relay.settings import Policy


def replay(record: Judged, policy: Policy) -> Verdict | None:
    """Return the verdict on a recorded message; None where there was none (refused before, or an old record).

    By the policy of its time it is the recorded one: action, rule, trace, reply and proposal.
    """
    recorded = unpacked(record)
    if recorded is None:
        return None
    if recorded.hops:
        return loop_verdict(recorded.hops)
    inputs = recorded.inputs
    if record.policy_version != version_of(policy):
        inputs = _under(inputs, policy)
    return judge(inputs, policy, recorded.judged_at, record.message_id)


def _under(inputs: Inputs, policy: Policy) -> Inputs:
    """The same counts, and how sure they make of another line."""
    return dataclasses.replace(inputs, signal=_sure(inputs.signal, policy), group=_group(inputs.group, policy))


def _sure(signal: SignalState, policy: Policy) -> SignalState:
    certainty = spam_certainty(signal.spam_count, signal.seen, policy.spam_line)
    return msgspec.structs.replace(signal, certainty=certainty)


def _group(group: Group | None, policy: Policy) -> Group | None:
    if group is None or not group.signal.certainty:  # 0: too few senders for any line
        return group
    signal = group.signal
    certainty = spam_certainty(signal.spam_count, signal.seen, policy.spam_line)
    return dataclasses.replace(group, signal=dataclasses.replace(signal, certainty=certainty))
