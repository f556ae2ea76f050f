"""The dialogs of the page of addresses: out of use, back, warm-up, a stage, other pools, with what would follow."""

from typing import Literal

import streamlit as st

from dashboard import asking, data
from dashboard.asking import Wanted
from dashboard.components.words import code, plain
from dashboard.data import delivery
from relay.control.accounts.views import Order
from relay.control.egress.calls import EgressCalls
from relay.control.egress.views import PoolOrder, PoolView, SourceView, StageOrder, StandOrder, WarmupView

QUARANTINE, ACTIVATE, RETIRE = "quarantine", "activate", "retire"
WARM, COOL, STAGE, POOLS = "warmup_start", "warmup_stop", "warmup_stage", "pools"

Verb = Literal["quarantine", "activate", "retire"]


@st.dialog("Take out of use", icon=":material/do_not_disturb_on:", on_dismiss=asking.close)
def quarantine(wanted: Wanted) -> None:
    _stand(
        wanted,
        "quarantine",
        "- It gets nothing new; what is in flight ends. Its share goes to the others of its pools.\n"
        "- It stays out until a person takes it back.\n",
        ("Take out", "do_not_disturb_on", "is out of use"),
    )


@st.dialog("Take back into use", icon=":material/play_circle:", on_dismiss=asking.close)
def activate(wanted: Wanted) -> None:
    _stand(
        wanted,
        "activate",
        "- Mail leaves from it again, and all its rests at destinations end.\n"
        "- A listing that is still there will not take it out a second time.\n",
        ("Take back", "play_circle", "is in use"),
    )


@st.dialog("Retire", icon=":material/history:", on_dismiss=asking.close)
def retire(wanted: Wanted) -> None:
    _stand(
        wanted,
        "retire",
        "- Nothing leaves from it any more. Its history stays; it can be taken back.\n",
        ("Retire", "history", "is retired"),
    )


@st.dialog("Start warm-up", icon=":material/trending_up:", on_dismiss=asking.close)
def warm(wanted: Wanted) -> None:
    _switch(
        wanted,
        "start",
        "- Each provider gets at most its stage's messages a day from it, evenly; what has no room leaves from a warm "
        "address of the pool.\n- Plans go on where they were; **Other stage** with 1 begins anew.\n",
    )


@st.dialog("End warm-up", icon=":material/trending_flat:", on_dismiss=asking.close)
def cool(wanted: Wanted) -> None:
    _switch(
        wanted,
        "stop",
        "- Nothing is held back any more: it counts as warm everywhere at once.\n- The plans stay where they are.\n",
    )


@st.dialog("Other stage", icon=":material/stairs:", on_dismiss=asking.close)
def stage(wanted: Wanted) -> None:
    st.markdown(code(wanted.target))
    found = next((row for row in delivery.warmups().value if row.source == wanted.target), None)
    if found is None or not found.plans:
        st.markdown("It has no plans: it does not warm up, or the relay does not run.")
        return
    plans = {plan.provider: plan for plan in found.plans}
    provider = st.selectbox("Provider", list(plans), key="stage_provider")
    last = plans[provider].stages + 1
    now = min(plans[provider].stage, last)
    # without bounds: a box that refuses a number turns red and counts as the one before; the relay says what is wrong
    number = st.number_input(f"Stage, 1 to {last}", value=now, step=1, key=f"stage_{provider}")
    order = StageOrder(provider=provider, stage=int(number), dry_run=True)
    preview: WarmupView | None = asking.attempt(lambda relay: EgressCalls(relay).set_stage(wanted.target, order))
    if preview is None:
        return
    st.markdown(
        f"- {plain(provider)} is at stage {plans[provider].stage}, {plans[provider].quota:,} a day; stage {last} is "
        f"warm.\n- The day begins anew with the cap of stage {int(number)}.\n" + _logged()
    )
    if asking.confirmed("Set", "stairs"):
        final = StageOrder(provider=provider, stage=int(number))
        done = asking.attempt(lambda relay: EgressCalls(relay).set_stage(wanted.target, final))
        if done is not None:
            asking.finish(f"{plain(wanted.target)} is at stage {int(number)} for {plain(provider)}.", done.undo)


@st.dialog("Other pools", icon=":material/swap_horiz:", on_dismiss=asking.close)
def pools(wanted: Wanted) -> None:
    """One order for each pool whose members change; each can be undone by itself."""
    st.markdown(code(wanted.target))
    known = {pool.name: dict(pool.members) for pool in delivery.pools().value}
    before = [name for name, members in known.items() if wanted.target in members]
    chosen = st.multiselect("Pools", sorted({*known, "good", "fair", "suspect", "new", "forward"}), before, key="pools")
    changed = [name for name in {*chosen, *before} if (name in chosen) != (name in before)]
    orders = {name: _members(known.get(name, {}), wanted.target, is_member=name in chosen) for name in sorted(changed)}
    for name, members in orders.items():
        after = ", ".join(f"{source} × {weight}" for source, weight in members.items())
        empty = "nothing: its mail uses the addresses of fair" if name != "fair" else "nothing: its mail uses all"
        st.markdown(f"- **{plain(name)}** then has {plain(after) or empty}.")
        if _set_pool(name, members, dry_run=True) is None:
            return
    st.markdown("- Mail already accepted keeps its pool; it leaves from that pool's new members.\n" + _logged())
    if asking.confirmed("Move", "swap_horiz", is_ready=bool(orders)):
        undo = []
        for name, members in orders.items():
            done = _set_pool(name, members, dry_run=False)
            if done is None:
                return
            undo.append(done.undo)
        asking.finish(f"{plain(wanted.target)} is now in {plain(', '.join(chosen)) or 'no pool'}.", "; ".join(undo))


DIALOGS: asking.Dialogs = {
    QUARANTINE: quarantine,
    ACTIVATE: activate,
    RETIRE: retire,
    WARM: warm,
    COOL: cool,
    STAGE: stage,
    POOLS: pools,
}


def _stand(wanted: Wanted, verb: Verb, consequence: str, words: tuple[str, str, str]) -> None:
    """`words`: those of the button, its icon, and what is told afterwards."""
    st.markdown(code(wanted.target))
    reason = st.text_input("Because", key="stand_reason", placeholder="Stands in the audit log")
    order = StandOrder(reason=reason.strip(), dry_run=True)
    preview: SourceView | None = asking.attempt(lambda relay: EgressCalls(relay).stand(wanted.target, verb, order))
    if preview is None:
        return
    st.markdown(consequence + (f"- {plain(preview.note)}\n" if preview.note else "") + _logged())
    if asking.confirmed(words[0], words[1], is_ready=bool(reason.strip())):
        final = StandOrder(reason=reason.strip())
        done = asking.attempt(lambda relay: EgressCalls(relay).stand(wanted.target, verb, final))
        if done is not None:
            asking.finish(f"{plain(wanted.target)} {words[2]}.", done.undo)


def _switch(wanted: Wanted, verb: Literal["start", "stop"], consequence: str) -> None:
    st.markdown(code(wanted.target))
    preview: WarmupView | None = asking.attempt(
        lambda relay: EgressCalls(relay).switch_warmup(wanted.target, verb, Order(dry_run=True))
    )
    if preview is None:
        return
    st.markdown(consequence + _logged())
    if asking.confirmed("Start" if verb == "start" else "End", "trending_up"):
        done = asking.attempt(lambda relay: EgressCalls(relay).switch_warmup(wanted.target, verb, Order()))
        if done is not None:
            asking.finish(f"Warm-up of {plain(wanted.target)}: {verb}.", done.undo)


def _set_pool(name: str, members: dict[str, int], *, dry_run: bool) -> PoolView | None:
    """A pool whose last member leaves is none any more."""
    if not members:
        return asking.attempt(lambda relay: EgressCalls(relay).remove_pool(name, Order(dry_run=dry_run)))
    order = PoolOrder(members=members, dry_run=dry_run)
    return asking.attempt(lambda relay: EgressCalls(relay).set_pool(name, order))


def _members(members: dict[str, int], source: str, *, is_member: bool) -> dict[str, int]:
    others = {name: weight for name, weight in members.items() if name != source}
    return others | {source: members.get(source, 1)} if is_member else others


def _logged() -> str:
    return f"- The audit log keeps it under `{data.reader().principal.id}`."
