"""A decision, as a line and as a card: who, what, since, until, because, how sure, and what can be done about it."""

from collections import Counter
from typing import Any, Literal

import pandas as pd
import streamlit as st

from dashboard import actions, data
from dashboard.actions import Kind
from dashboard.components import buttons
from dashboard.components.messages import listed
from dashboard.components.places import decision_link, sender_link
from dashboard.components.table import instants
from dashboard.components.tiles import facts
from dashboard.components.words import (
    UNKNOWN,
    ago,
    code,
    count,
    label_of,
    localised,
    plain,
    sender_parts,
    short,
    until,
    when,
)
from dashboard.data import Reading
from dashboard.theme import Look, look
from relay.control.views import DecisionView, HeldView
from relay.policy.decisions.decision import PARKING
from relay.policy.triggers.sequential import percent
from relay.tree import Role

_SUSPECTS, _SUSPECTS_FRESH_SECONDS = 10, 30.0  # the relay names at most ten; their fate is soon final
Place = Literal["list", "alone", "sender"]

# The relay's own triggers in words; other evidence is shown under its key.
_EVIDENCE = {
    "spam": "Scored as spam",
    "seen": "Messages seen",
    "window_minutes": "Within minutes",
    "line": "Pause above a rate of",
    "last_score": "Last score",
}


def stops_mail(decision: DecisionView) -> bool:
    """Tell whether it keeps its sender's mail from leaving, rather than watching it or changing a limit."""
    return decision.effect in PARKING


def needs_somebody(decision: DecisionView) -> bool:
    """Tell whether a person has still to say release or confirm."""
    return decision.is_open and stops_mail(decision) and not decision.confirmed_by


def state_of(decision: DecisionView) -> Look:
    """What became of it."""
    if decision.released_by:
        return look("released")
    if not decision.is_open:
        return look("ended")
    return look("confirmed") if decision.confirmed_by else look(decision.effect)


def line(decision: DecisionView, *, is_stale: bool) -> None:
    """One decision as a sentence, with its link and Release beside it."""
    with st.container(border=True), st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        with st.container(gap=None, width="stretch"):
            with st.container(horizontal=True, gap="xxsmall", vertical_alignment="center"):
                _who(decision, "line")
                decision_link(decision.id, label="Why?", icon=None)
            st.markdown(
                f"{_since(decision)} because {_reason(decision)}. "
                f"**{count(decision.held)}** parked, {until(decision.ends_at, data.now())}.",
            )
        _release_button(decision, is_stale=is_stale)


def card(decision: DecisionView, *, is_stale: bool, place: Place = "list") -> None:
    """The whole case. `place`: among others, on a page of its own, or on its sender's page."""
    with st.container(border=True):
        with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
            _who(decision, place)
            st.caption(f"{plain(decision.id)} · {ago(decision.starts_at, data.now())}", width="content")
        said = decision.sentence.removesuffix(f" Undo: {decision.undo}")
        st.markdown(plain(localised(said, data.now())))  # the command stands below
        _facts(decision)
        if decision.ends_sooner:
            st.markdown(f":material/fast_forward: Ends sooner by **{plain(decision.ends_sooner)}**.")
        buttons.answers(decision, is_stale=is_stale, place=place)
        with st.container(horizontal=True, vertical_alignment="center"):
            if place != "alone":
                decision_link(decision.id, label="Open this case")
            if place != "sender":
                sender_link(decision.sender, label="All about this sender")
        title = "All figures, and the command that undoes it" if place == "alone" else "Evidence and parked mail"
        with st.expander(title, icon=":material/fact_check:"):
            _evidence(decision, with_mail=place != "alone")


def _who(decision: DecisionView, place: str) -> None:
    """State, sender and account; the sender's name leads to its page, except there."""
    account, kind, value = sender_parts(decision.sender)
    with st.container(horizontal=True, gap="xxsmall", vertical_alignment="center", width="content"):
        st.markdown(f"{look(decision.effect).badge}{_became(decision)}", width="content")
        if place == "sender":
            st.markdown(f"**{plain(short(value, 70))}**", width="content")
        else:
            sender_link(decision.sender, label=f"**{plain(short(value, 70))}**", icon=None)
        st.markdown(f":gray[{plain(account)} · {plain(kind)}]", width="content")


def _became(decision: DecisionView) -> str:
    became = state_of(decision)
    by = decision.released_by or decision.confirmed_by
    if became == look(decision.effect):
        return ""
    return f" {became.badge}" + (f" :gray[by {plain(by)}]" if by else "")


def _facts(decision: DecisionView) -> None:
    now = data.now()
    known = [("How sure", UNKNOWN if decision.certainty is None else percent(decision.certainty))]
    suspects = _suspects(decision)
    if stops_mail(decision):
        known.append(("Parked now", count(decision.held)))
    if suspects:
        out = sum(_got_out(message) for message in suspects)
        known.append(("Suspects out before", f"{out} of {len(suspects)}"))
    known += [
        ("Since", when(decision.starts_at, now)),
        ("Ends", "by a person" if decision.ends_at is None else when(decision.ends_at, now)),
        ("Decided by", f"{plain(decision.author)}, rule {plain(decision.rule)}"),
    ]
    facts(known)
    if script := _script(suspects):
        st.markdown(f":gray[:small[Sent by the script]] {code(script)}")


def _evidence(decision: DecisionView, *, with_mail: bool) -> None:
    known = {key: value for key, value in decision.evidence.items() if not isinstance(value, list)}
    known |= {"limit_multiplier": decision.value} if decision.value is not None else {}
    known |= {"model": decision.model, "policy": decision.policy_version}
    facts([(_EVIDENCE.get(key, plain(label_of(key))), _shown(value)) for key, value in known.items() if value != ""])
    if with_mail and decision.is_open and stops_mail(decision):
        parked_mail(data.held(decision.sender), key=f"parked-{decision.id}")
    if decision.undo:
        st.caption("Release it from a terminal:")
        st.code(decision.undo, language="sh")


def _shown(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else plain(str(value))


def parked_mail(reading: Reading[list[HeldView]], *, key: str) -> None:
    """The parked messages of one sender."""
    if not reading.value:
        st.caption(
            "No mail of this sender is parked." if reading.is_fresh else "The relay does not say what is parked."
        )
        return
    rows = [
        {
            "received_at": message.received_at,
            "subject": message.subject or "(no subject)",
            "from": message.mail_from or "<>",
            "to": ", ".join(message.recipients[:3]) + (" …" if len(message.recipients) > 3 else ""),
            "score": message.score,
        }
        for message in reading.value
    ]
    st.dataframe(
        pd.DataFrame(rows),
        hide_index=True,
        key=key,
        column_config={
            "received_at": instants("Received"),
            "subject": st.column_config.TextColumn("Subject", width="medium"),
            "from": "From",
            "to": "To",
            "score": st.column_config.ProgressColumn("Spam score", min_value=0, max_value=1, format="%.2f"),
        },
    )


def _suspects(decision: DecisionView) -> list[dict[str, Any]]:
    """What became of the messages that the decision names as its evidence; empty while analytics does not know them."""
    named = decision.evidence.get("messages")
    ids = named[:_SUSPECTS] if isinstance(named, list) else []
    found = [data.row(data.query("message", message_id=one, fresh_seconds=_SUSPECTS_FRESH_SECONDS)) for one in ids]
    return [message for message in found if message]


def _got_out(message: dict[str, Any]) -> bool:
    """Tell whether it was delivered without having been parked: what a release frees later has not slipped through."""
    is_delivered = message.get("status") in ("delivered", "partly delivered")
    return is_delivered and message.get("action") == "accept" and not listed(message.get("held_events"))


def _script(suspects: list[dict[str, Any]]) -> str:
    """The script that most of them name: what the owner of the site must repair. Evidence, anybody can write it."""
    named = Counter(str(message["script"]) for message in suspects if message.get("script"))
    return named.most_common(1)[0][0] if named else ""


def _release_button(decision: DecisionView, *, is_stale: bool) -> None:
    """The short way, from the line of a list."""
    if not data.reader().may(Role.ABUSE):
        return
    st.button(
        "Release: not spam" if stops_mail(decision) else "Give its limit back",
        key=f"release-line-{decision.id}",
        icon=":material/lock_open:",
        disabled=is_stale,
        help="The relay does not answer" if is_stale else None,
        on_click=actions.request,
        args=(Kind.RELEASE, decision.id, decision.sender),
    )


def _since(decision: DecisionView) -> str:
    word = look(decision.effect).word
    size = "" if decision.value is None else f" to × {decision.value:g}"
    return f"{word}{size} since {when(decision.starts_at, data.now())} ({ago(decision.starts_at, data.now())})"


def _reason(decision: DecisionView) -> str:
    return plain(decision.reason).replace(" %", "\u00a0%")
