"""What a person can do about one sender beside holding and releasing it: limit, slow down, block, suspend, exempt, ask.

Each dialog shows its consequence first; see the room itself, which opens them.
"""

from datetime import datetime, timedelta

import streamlit as st

from dashboard import data
from dashboard.acting import Wanted, attempt
from dashboard.actions.desk import close, do_it, finish
from dashboard.components.words import code, count, plain, sender_parts, until
from dashboard.setup import asked
from relay.cases.views import NewNote
from relay.control.accounts.views import LimitOrder, NoLimits
from relay.control.views import NewDecision, ReleaseOrder
from relay.notices.texts import ADVICE
from relay.policy.decisions.decision import PARKING, Effect
from relay.policy.limits.levels import Level

_LENGTHS = {"1 hour": 1, "6 hours": 6, "24 hours": 24, "7 days": 168, "30 days": 720}
_SHARES = {"half of its limits": 0.5, "a quarter": 0.25, "a tenth": 0.1}


@st.dialog("Limit to …", icon=":material/speed:", on_dismiss=close)
def limit(wanted: Wanted) -> None:
    """A limit of its own that stays; what is parked leaves at its pace."""
    st.markdown(code(wanted.sender))
    _own_limit(wanted.sender)
    known, own = data.signals(wanted.sender).value, asked.own_limit(wanted.sender)
    now_at = known.limit if known else 0
    number = st.number_input("Recipients in any 60 minutes", value=own or max(now_at // 4, 10), step=1, key="limit_to")
    if number < 1:
        st.error(f"**{number} is no limit to send by.** Give 1 or more; Suspend stops it.", icon=":material/error:")
        return
    is_stopped = _is_stopped(wanted.sender)
    frees = is_stopped and st.checkbox("Release it from its stop, at the pace of this limit", value=True, key="frees")
    order = LimitOrder(level=Level.SENDER, key=wanted.sender, rcpts_per_hour=int(number), dry_run=True)
    if attempt(lambda relay: relay.set_limits(order)) is None:
        return
    freed = attempt(lambda relay: relay.release_sender(wanted.sender, ReleaseOrder(dry_run=True))) if frees else None
    st.markdown(
        f"- It may send to **{count(number)}** recipients an hour from now on"
        f"{f', instead of {count(now_at)}' if now_at else ''}, until somebody takes the limit back.\n"
        + (
            f"- {count(freed.messages)} parked messages leave at that pace. It is not called harmless: more spam "
            "stops it again.\n"
            if freed
            else "- What is parked stays parked.\n"
            if is_stopped
            else ""
        )
        + _signed()
    )
    if do_it("Limit", "speed"):
        final = LimitOrder(level=Level.SENDER, key=wanted.sender, rcpts_per_hour=int(number))
        if attempt(lambda relay: relay.set_limits(final)) is None:
            return
        if frees and attempt(lambda relay: relay.release_sender(wanted.sender, ReleaseOrder(note="limited"))) is None:
            return
        finish(f"Limited to {count(number)} recipients an hour.")


def _is_stopped(sender: str) -> bool:
    known = data.sender(sender).value
    return bool(known and known.decision and known.decision.effect in PARKING)


def _own_limit(sender: str) -> None:
    """The limit that somebody gave this sender, and the way back; nothing when it has none."""
    own = asked.own_limit(sender)
    if own is None:
        return
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.markdown(f"It has a limit of its own: **{count(own) if own else 'none'}** recipients an hour.")
        if st.button("Give it back", key="limit_back", icon=":material/undo:", help="The account's limits hold again"):
            order = NoLimits(level=Level.SENDER, key=sender)
            if attempt(lambda relay: relay.remove_limits(order)) is not None:
                finish("Its own limit is gone: those of its account hold.")


@st.dialog("Ask the customer", icon=":material/contact_support:", on_dismiss=close)
def ask_customer(wanted: Wanted) -> None:
    """A text to copy into a mail or a ticket, with the link by which the customer may release it himself."""
    account, _, value = sender_parts(wanted.sender)
    decision = data.decision(wanted.target).value if wanted.target != wanted.sender else None
    link = attempt(lambda relay: relay.release_link(wanted.target)) if decision else None
    known = data.account(account).value
    st.caption(f"To {plain(known.contact)}" if known and known.contact else f"Account {plain(account)} has no contact.")
    text = letter(value, decision.sentence.partition(" Undo: ")[0] if decision else "", link.url if link else "")
    st.code(text, language=None, wrap_lines=True)
    st.markdown(
        ":small[:gray[Copy it by the sign at its corner. Contacts hear of a stop by mail anyway; this asks them for "
        "an answer.]]"
    )
    if link and not link.url:
        st.caption(f"Without a release link: {plain(link.why)}")
    if do_it("Note that I asked", "edit_note"):
        note = NewNote(text=f"Asked the customer about {wanted.target}.")
        if attempt(lambda relay: relay.add_note(wanted.sender, note)) is not None:
            finish("Noted beside the sender.")


def letter(sender: str, why: str, link: str) -> str:
    """The text for the customer; `why` is the relay's own sentence, `link` "" for none."""
    release = f"\nIf these messages are yours and wanted, you can release them here:\n{link}\n" if link else ""
    return (
        f"Hello,\n\nwe look at mail that leaves our servers under your account from\n\n    {sender}\n"
        f"{f'{chr(10)}{why}{chr(10)}' if why else ''}\n"
        "Do you know these messages, and did their recipients ask for them? How were the addresses collected?\n\n"
        f"{ADVICE}\n{release}\nPlease answer this message; until then the mail waits and is not lost.\n"
    )


@st.dialog("Suspend", icon=":material/do_not_disturb_on:", on_dismiss=close)
def suspend(wanted: Wanted) -> None:
    """Until a person releases it."""
    st.markdown(code(wanted.sender))
    reason = st.text_input(
        "Because", key="suspend_reason", placeholder="What did you find?", help="Shown to the sender"
    )
    _decide(
        wanted,
        Effect.SUSPEND,
        reason,
        None,
        ["New mail of this sender is refused until a person releases it.", "What waits is parked, not deleted."],
        ("Suspend", "do_not_disturb_on", "Suspended until a person releases it."),
    )


@st.dialog("Block for a time", icon=":material/block:", on_dismiss=close)
def block(wanted: Wanted) -> None:
    st.markdown(code(wanted.sender))
    reason = st.text_input("Because", value="blocked by hand", key="block_reason", help="Shown to the sender")
    lasts = st.selectbox("For", list(_LENGTHS), key="block_for")
    _decide(
        wanted,
        Effect.BLOCK,
        reason,
        _ends(lasts),
        ["Its mail is refused: 15 minutes with 450, then with 550.", "What waits is parked, not deleted."],
        ("Block", "block", f"Blocked for {lasts}."),
    )


@st.dialog("Slow down", icon=":material/speed:", on_dismiss=close)
def throttle(wanted: Wanted) -> None:
    st.markdown(code(wanted.sender))
    share = st.selectbox("To", list(_SHARES), index=1, key="throttle_share")
    lasts = st.selectbox("For", list(_LENGTHS), index=1, key="throttle_for")
    first = None
    if _is_stopped(wanted.sender) and st.checkbox("Release it from its stop first", value=True, key="throttle_frees"):
        first = ReleaseOrder(note="slowed down instead")
        st.caption(
            "What is parked leaves at the pace of its limits. It is not called harmless: more spam stops it again."
        )
    _decide(
        wanted,
        Effect.THROTTLE,
        "slowed down by hand",
        _ends(lasts),
        [f"It keeps {share}; they come back with time afterwards.", "Nothing is parked or refused for it."],
        ("Slow down", "speed", f"Slowed down for {lasts}."),
        _SHARES[share],
        first,
    )


@st.dialog("Exempt from automatic stops", icon=":material/verified_user:", on_dismiss=close)
def exempt(wanted: Wanted) -> None:
    st.markdown(code(wanted.sender))
    reason = st.text_input("Because", key="exempt_reason", placeholder="Why may nothing automatic stop it?")
    lasts = st.selectbox("For", list(_LENGTHS), index=2, key="exempt_for")
    _decide(
        wanted,
        Effect.EXEMPT,
        reason,
        _ends(lasts),
        [
            "Triggers and scores do not stop this sender. Limits and rules against malware still hold.",
            "A stop that is in force now stays until it is released.",
        ],
        ("Exempt", "verified_user", f"Exempt for {lasts}."),
    )


def _decide(
    wanted: Wanted,
    effect: Effect,
    reason: str,
    ends_at: datetime | None,
    consequences: list[str],
    words: tuple[str, str, str],
    value: float | None = None,
    first: ReleaseOrder | None = None,
) -> None:
    """`words`: of the button, its icon, and what is told afterwards. `first`: a release that goes before."""

    def decision(*, dry_run: bool) -> NewDecision:
        return NewDecision(
            account=sender_parts(wanted.sender)[0],
            sender=wanted.sender,
            effect=effect,
            rule="by-hand",
            reason=reason or "by hand",
            ends_at=ends_at,
            value=value,
            dry_run=dry_run,
        )

    preview = attempt(lambda relay: relay.propose(decision(dry_run=True)))
    if preview is None:
        return
    lines = [*consequences, f"In force {until(preview.decision.ends_at, data.now())}. Nobody else is touched."]
    st.markdown("".join(f"- {line}\n" for line in lines) + _signed())
    if do_it(words[0], words[1], is_ready=bool(reason.strip())):
        if first is not None and attempt(lambda relay: relay.release_sender(wanted.sender, first)) is None:
            return
        if attempt(lambda relay: relay.propose(decision(dry_run=False))) is not None:
            finish(words[2])
    elif not reason.strip():
        st.caption("Say why first: it stands wherever the decision is shown.")


def _ends(lasts: str) -> datetime:
    return data.now() + timedelta(hours=_LENGTHS[lasts])


def _signed() -> str:
    return f"- The audit log keeps it under `{data.reader().principal.id}`."
