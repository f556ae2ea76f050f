"""The parts of a sender's page: where it stood, its hours, what is believed of its rates, what it sends and to whom."""

import streamlit as st

from dashboard import data, zone
from dashboard.charts import of_senders
from dashboard.components import case, history, notices, places
from dashboard.components.table import Column
from dashboard.components.table import Kind as Cell
from dashboard.components.words import count
from dashboard.data import Reading
from dashboard.theme import palette
from relay.cases.views import RateView, SignalsView
from relay.control.views import SenderView
from relay.policy.triggers.posterior import percent

DOMAINS = [
    Column("domain", "Recipient domain", width="large"),
    Column("recipients", "Recipients", Cell.COUNT),
    Column("delivered", "Delivered", Cell.COUNT),
    Column("bounced", "Bounced", Cell.COUNT),
    Column("hard_bounced", "Of it hard", Cell.COUNT),
]
_WORDS = {
    "spam": ("Spam", "messages in 1 h"),
    "hard_bounce": ("Hard bounces", "recipients in 24 h"),
    "complaint": ("Complaints", "recipients in 7 days"),
}
_SLOW = data.SLOW_FRESH_SECONDS


def standing_strip(view: SenderView) -> None:
    """Its states of 30 days; nothing while nobody ever decided about it."""
    frame = history.spans(view.decisions, data.now())
    if frame.empty:
        return
    places.chart_title("Where it stood", f"at most 30 days, {zone.name()}; pale green: nothing was in force")
    st.altair_chart(history.strip(frame, data.now(), palette()), key="standing", alt="States of 30 days")


def hours(key: str) -> None:
    """Volume against what is usual, and unique recipients."""
    left, right = st.columns(2)
    with left:
        case.volume(key, None)
    with right:
        found = data.query("sender_unique", case.HOURS, sender=key, fresh_seconds=_SLOW)
        places.chart_title(
            "Unique recipients", f"an hour, 3 days, {zone.name()}; how many of its recipients are different"
        )
        if found.value.empty:
            st.caption("No mail of it is known in 3 days.")
            return
        with notices.aged("unique", found):
            drawn = of_senders.unique(found.value, data.now(), palette())
            st.altair_chart(drawn, key="unique", alt="Recipients and different recipients an hour")


def beliefs(known: Reading[SignalsView | None]) -> None:
    """What the triggers believe of its rates now, and how far it is from being stopped."""
    places.chart_title(
        "How sure we are of its rates",
        "likelihood of each true rate, now; red: above the line where a sender is stopped",
    )
    if known.value is None:
        st.caption("The relay counts nothing of it: it has sent nothing yet, or not for long.")
        return
    with notices.aged("beliefs", known):
        for rate, column in zip(known.value.rates, st.columns(3), strict=True):
            with column:
                _belief(rate)
        _usual(known.value)


def _belief(rate: RateView) -> None:
    title, what = _WORDS[rate.signal]
    bad = count(rate.bad) if rate.bad == int(rate.bad) else f"{rate.bad:.1f}"
    st.markdown(f"**{title}** {bad} of {count(rate.seen)} :gray[:small[{what}]]")
    drawn = of_senders.curve(rate, palette())
    st.altair_chart(drawn, key=f"belief-{rate.signal}", alt=f"Posterior of the rate of {title.lower()}")
    st.caption(
        f"{percent(rate.certainty)} sure that the rate is above {percent(rate.line)}; stopped from "
        f"{percent(rate.needed)} sure."
    )


def _usual(known: SignalsView) -> None:
    """This hour, in the words of the triggers."""
    if not known.usual_volume:
        words = "what is usual in this hour of the week is not learnt yet (that takes two weeks)"
    else:
        words = (
            f"usually up to {count(known.usual_volume)} in this hour of the week, at most "
            f"{count(known.most_volume)} in any hour"
        )
    burst = f" · burst {known.burst:.1f} of {known.burst_line:g}" if known.burst >= 0.05 else ""
    st.caption(f"This hour: {count(known.volume)} recipients; {words}{burst}.")


def what_it_sends(key: str) -> None:
    """Scripts, subjects, recipients' domains, login networks, notes: a tab each, of the last 7 days."""
    subjects, scripts, domains, logins, notes = st.tabs(
        ["Subjects", "Scripts", "Recipient domains", "Login networks", "Notes"]
    )
    with subjects:
        case.listing("sender_subjects", key, case.SUBJECTS, "No subject of it is known in 7 days.")
    with scripts:
        st.caption("What its server says sent the mail: evidence, never an identity.")
        case.listing("sender_scripts", key, case.SCRIPTS, "Its server named no script in 7 days.")
    with domains:
        case.listing("sender_domains", key, DOMAINS, "Nothing of it was delivered or bounced in 7 days.")
    with logins:
        case.listing("sender_logins", key, case.LOGINS, "Nobody has logged in for it in 7 days.")
    with notes:
        case.notes(key)
