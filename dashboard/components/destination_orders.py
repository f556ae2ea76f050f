"""The dialogs of the Destinations page: stop, let go, other numbers, try now. Each shows first what would follow."""

import streamlit as st

from dashboard import asking, data
from dashboard.asking import Wanted
from dashboard.components import limits
from dashboard.components.limits import in_words
from dashboard.components.words import code, count, plain, until
from dashboard.data import delivery
from relay.control.shaping.views import DestinationChanged, OverrideOrder, ResumeOrder, SuspendOrder
from relay.control.waiting.views import QueueDone, QueueOrder
from relay.delivery.shaping.rules import Kind

SUSPEND, RESUME, OVERRIDE, RETRY = "suspend", "resume", "override", "retry"

_ALL = "all of them"
_FOR: dict[str, float | None] = {
    "1 hour": 60.0,
    "4 hours": 240.0,
    "24 hours": 1440.0,
    "until somebody ends it": None,
}
_TABLE = 0  # of a number input: as the provider's table says


@st.dialog("Stop a destination", icon=":material/pause_circle:", on_dismiss=asking.close)
def suspend(wanted: Wanted) -> None:
    st.markdown(code(wanted.target))
    reason = st.text_input("Because", key="suspend_reason", placeholder="Stands wherever the stop is shown")
    source, minutes = _where(), _how_long()
    order = SuspendOrder(reason=reason or "…", source=source, minutes=minutes, dry_run=True)
    preview: DestinationChanged | None = asking.attempt(lambda relay: relay.suspend_destination(wanted.target, order))
    if preview is None:
        return
    ends = preview.effects[0].until_at if preview.effects else None
    waiting, _ = delivery.waits_at(wanted.target)
    st.markdown(
        f"- Nothing more leaves for it{_from(source)}, {until(ends, data.now())}. What is in flight ends.\n"
        f"- Mail is still accepted and waits; now **{count(waiting)}** wait. What waits too long expires as usual.\n"
        + ("- Other addresses go on.\n" if source else "- It concerns every customer who writes there.\n")
        + _logged()
    )
    if asking.confirmed("Stop", "pause_circle", is_ready=bool(reason.strip())):
        final = SuspendOrder(reason=reason.strip(), source=source, minutes=minutes)
        done = asking.attempt(lambda relay: relay.suspend_destination(wanted.target, final))
        if done is not None:
            asking.finish(f"Stopped: {plain(wanted.target)}.", done.undo)


@st.dialog("Let it go on", icon=":material/play_circle:", on_dismiss=asking.close)
def resume(wanted: Wanted) -> None:
    st.markdown(code(wanted.target))
    source = _where()
    preview: DestinationChanged | None = asking.attempt(
        lambda relay: relay.resume_destination(wanted.target, ResumeOrder(source=source, dry_run=True))
    )
    if preview is None:
        return
    if not preview.effects:
        st.markdown("Nothing is in force there that a resume would end. Numbers set by hand end with **Other limits**.")
        return
    waiting, _ = delivery.waits_at(wanted.target)
    st.markdown(
        f"- This ends: **{plain(in_words(preview.effects))}**.\n"
        "- What was learned from its replies is forgotten; if it still refuses, the rules slow it down anew.\n"
        f"- What waits in memory goes at once, what waits on disk within 15 minutes: **{count(waiting)}** now.\n"
        + _logged()
    )
    if asking.confirmed("Go on", "play_circle"):
        done = asking.attempt(lambda relay: relay.resume_destination(wanted.target, ResumeOrder(source=source)))
        if done is not None:
            asking.finish(f"{plain(wanted.target)} goes on.", done.undo)


@st.dialog("Other limits", icon=":material/tune:", on_dismiss=asking.close)
def override(wanted: Wanted) -> None:
    found = [row for row in delivery.destinations().value if row.destination == wanted.target]
    st.markdown(code(wanted.target))
    source = _where()
    left, right = st.columns(2)
    before = [limits.by_hand(found[0].effects if found else [], kind, source) for kind in (Kind.CONNECTIONS, Kind.RATE)]
    connections = left.number_input(
        "Connections at once", value=int(before[0] or _TABLE), step=1, key=f"override_connections_{source}"
    )
    rate = right.number_input(
        "Messages a minute", value=float(before[1] or _TABLE), step=1.0, format="%g", key=f"override_rate_{source}"
    )
    st.caption("For each address it leaves from. 0: as the table of providers says.")
    minutes = _how_long()
    reason = st.text_input("Because", key="override_reason", placeholder="agreed with their postmaster (optional)")

    def order(*, dry_run: bool) -> OverrideOrder:
        return OverrideOrder(
            reason=reason.strip(),
            source=source,
            connections=None if connections == _TABLE else int(connections),
            messages_per_minute=None if rate == _TABLE else rate,
            minutes=minutes,
            dry_run=dry_run,
        )

    preview: DestinationChanged | None = asking.attempt(
        lambda relay: relay.override_destination(wanted.target, order(dry_run=True))
    )
    if preview is None:
        return
    ends = preview.effects[0].until_at if preview.effects else None
    table = f"{found[0].connections} connections, {_rate(found[0].messages_per_minute)}" if found else "its own"
    st.markdown(
        f"- In place of the table's numbers ({table}){_from(source)}: "
        f"**{plain(in_words(preview.effects)) or 'the table again'}**"
        + (f", {until(ends, data.now())}.\n" if preview.effects else ".\n")
        + "- Rules and refusals may still lower them.\n"
        + _logged()
    )
    if asking.confirmed("Set", "tune"):
        done = asking.attempt(lambda relay: relay.override_destination(wanted.target, order(dry_run=False)))
        if done is not None:
            asking.finish(f"Limits of {plain(wanted.target)} changed.", done.undo)


@st.dialog("Try now", icon=":material/replay:", on_dismiss=asking.close)
def retry(wanted: Wanted) -> None:
    st.markdown(code(wanted.target))
    _, domains = delivery.waits_at(wanted.target)
    preview = _retried(domains, dry_run=True)
    if preview is None:
        return
    if not preview.recipients:
        st.markdown("Nothing waits for it.")
        return
    stopped = [row.effects for row in delivery.destinations().value if row.destination == wanted.target]
    held_back = any(effect.kind == "suspend" for effects in stopped for effect in effects)
    st.markdown(
        f"- **{count(preview.recipients)}** recipients of {count(preview.messages)} messages are due now, not at "
        f"their time. {count(preview.busy)} are being tried this moment and are left alone.\n"
        "- Limits in force still hold: they leave at that pace.\n"
        + ("- **It is stopped: nothing leaves before that ends.**\n" if held_back else "")
        + _logged()
    )
    if asking.confirmed("Try now", "replay"):
        done = _retried(domains, dry_run=False)
        if done is not None:
            asking.finish(f"Due now: {count(done.recipients)} recipients.")


DIALOGS: asking.Dialogs = {SUSPEND: suspend, RESUME: resume, OVERRIDE: override, RETRY: retry}


def _retried(domains: list[str], *, dry_run: bool) -> QueueDone | None:
    """A provider's mail waits under the domains of its customers: one order for each."""
    parts = []
    for domain in domains:
        order = QueueOrder(destination=domain, dry_run=dry_run)
        part: QueueDone | None = asking.attempt(lambda relay, order=order: relay.retry_queued(order))  # type: ignore[misc]
        if part is None:
            return None
        parts.append(part)
    return QueueDone(
        recipients=sum(part.recipients for part in parts),
        messages=sum(part.messages for part in parts),
        busy=sum(part.busy for part in parts),
        dry_run=dry_run,
    )


def _where() -> str:
    names = [row.name for row in delivery.sources().value]
    if not names:
        return ""
    chosen = st.selectbox("For mail that leaves from", [_ALL, *names], key="order_source")
    return "" if chosen == _ALL else str(chosen)


def _how_long() -> float | None:
    return _FOR[st.selectbox("For", list(_FOR), index=1, key="order_for")]


def _from(source: str) -> str:
    return f" from {code(source)}" if source else ""


def _rate(value: float | None) -> str:
    return "no rate" if value is None else f"{value:g} messages a minute"


def _logged() -> str:
    return f"- The audit log keeps it under `{data.reader().principal.id}`."
