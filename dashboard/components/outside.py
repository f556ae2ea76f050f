"""What receivers and providers say, one part each: complaints, DMARC, TLS, Microsoft, Google, Yahoo."""

from datetime import datetime

import pandas as pd
import streamlit as st

from dashboard import data
from dashboard.charts import of_outside
from dashboard.components import listings, messages, notices, places
from dashboard.components.table import Column, Kind, table
from dashboard.components.words import count, plain, sender_parts, share, short
from dashboard.data import Reading
from dashboard.theme import palette

_SLOW = 30.0  # these change by the day
_FEW = 30  # below this many a rate is noise
_SENDERS = [
    Column("shown", "Sender", width="medium"),
    Column("account", "Account"),
    Column("complaints", "Complaints", Kind.COUNT),
    Column("of_all", "Of all delivered", width="medium", help="A lower bound: many receivers never report."),
    Column("of_reached", "Of delivered where people report", width="medium"),
    Column("line", "Against the lines"),
    Column("from", "Heard from"),
    Column("last_at", "Last", Kind.INSTANT, format="D MMM HH:mm"),
]
_CAMPAIGNS = [
    Column("subject", "Subject", width="large"),
    Column("shown", "Sender", width="medium"),
    Column("from_domain", "From domain"),
    Column("complaints", "Complaints", Kind.COUNT),
    Column("delivered", "Delivered", Kind.COUNT),
    Column("last_at", "Last", Kind.INSTANT, format="D MMM HH:mm"),
]
_ONE = [
    Column("reported_at", "Reported", Kind.INSTANT),
    Column("provider", "By"),
    Column("feedback_type", "Type"),
    Column("shown", "Sender", width="medium"),
    Column("recipient", "Recipient", width="medium"),
    Column("message_id", "Message"),
]
_LOOPS = [
    Column("loop", "Loop"),
    Column("type", "Type"),
    Column("complaints", "Reports", Kind.COUNT),
    Column("last_at", "Last", Kind.INSTANT, format="D MMM HH:mm"),
]
_DOMAINS = [
    Column("domain", "Domain", width="medium"),
    Column("account", "Account"),
    Column("messages", "Messages", Kind.COUNT),
    Column("rate", "Passed DMARC", Kind.SHARE, help="DKIM or SPF passed and belongs to the From domain."),
    Column("quarantined", "Quarantined", Kind.COUNT),
    Column("rejected", "Rejected", Kind.COUNT),
    Column("sources", "Addresses", Kind.COUNT),
    Column("reporters", "Reporters", Kind.COUNT),
    Column("data_at", "Data until", Kind.INSTANT, format="D MMM HH:mm"),
]
_SOURCES = [
    Column("source_ip", "Address", width="medium"),
    Column("whose", "Whose"),
    Column("messages", "Messages", Kind.COUNT),
    Column("rate", "Passed DMARC", Kind.SHARE),
    Column("dkim_aligned", "By DKIM", Kind.COUNT),
    Column("spf_aligned", "By SPF", Kind.COUNT),
    Column("refused", "Refused", Kind.COUNT, help="Quarantined or rejected."),
    Column("reporters", "Reported by", width="medium"),
]
_TLS = [
    Column("domain", "Domain", width="medium"),
    Column("policy_type", "Policy"),
    Column("success", "Sessions in TLS", Kind.COUNT),
    Column("failure", "Failed", Kind.COUNT),
    Column("results", "Because", width="medium"),
    Column("data_at", "Data until", Kind.INSTANT, format="D MMM HH:mm"),
]
_SNDS = [
    Column("ip", "Address"),
    Column("begin_at", "From", Kind.INSTANT, format="D MMM HH:mm"),
    Column("colour", "Filter result", width="medium"),
    Column("recipients", "Recipients", Kind.COUNT),
    Column("complaints", "Complaint rate"),
    Column("trap_hits", "Trap hits", Kind.COUNT),
    Column("comments", "Comments", width="medium"),
]
_FIGURES = [
    Column("domain", "Domain", width="medium"),
    Column("day", "Day"),
    Column("metric", "Figure", width="medium"),
    Column("shown", "Value"),
]


def complaints(now: datetime) -> None:
    """Rates with both denominators, by sender and campaign, and the single complaints."""
    window = places.window()
    days = data.query("complaint_days", fresh_seconds=_SLOW)
    senders = data.query("complaint_senders", window, limit=100, fresh_seconds=_SLOW)
    places.chart_title("Complaint rate", "of delivered recipients by day, the last 30 days; days below 30 are left out")
    with notices.aged("complaint-days", days):
        drawn = both_rates(days.value)
        if drawn.empty:
            st.caption("Too little was delivered to tell a rate.")
        else:
            st.altair_chart(of_outside.rates(drawn, palette()), key="rates", alt="Complaint rate by day")
    st.caption(
        "Two denominators, as many receivers never report: all that was delivered, and what was delivered where "
        "complaints do come back. Providers divide by what reached the inbox, so the truth lies above both. "
        "Google sends none: its rate is under Google. Only abuse, fraud and virus count."
    )
    _by_sender(senders)
    _by_campaign()
    _loops()


def both_rates(days: pd.DataFrame) -> pd.DataFrame:
    """day_at, part, rate, words: of all delivered, and of delivered where people report; days with few left out."""
    parts = {"delivered": "of all delivered", "reached": "of delivered where people report"}
    rows = [
        {"day_at": row.day_at, "part": words, "rate": row.complaints / whole, "words": share(row.complaints, whole)}
        for row in days.itertuples()
        for name, words in parts.items()
        if (whole := float(getattr(row, name) or 0)) >= _FEW
    ]
    return pd.DataFrame(rows, columns=["day_at", "part", "rate", "words"])


def line_of(complaints: float, whole: float) -> str:
    """Where a rate stands, when there is enough to say so.

    >>> line_of(4, 1_000), line_of(1, 20), line_of(1, 5_000)
    ('above 0.3 %', 'too few to say', 'below 0.1 %')
    """
    if whole < _FEW:
        return "too few to say"
    above = [line for line in of_outside.LINES if complaints / whole >= line]
    return f"above {above[-1] * 100:g} %" if above else "below 0.1 %"


def _by_sender(senders: Reading[pd.DataFrame]) -> None:
    st.subheader("By sender", anchor=False)
    frame = senders.value
    if frame.empty:
        if senders.as_of is not None:
            st.caption(f"No complaint about anybody in {places.window().words}.")
        return
    shown = frame.assign(
        shown=[sender_parts(str(key))[2] for key in frame["sender"]],
        of_all=[share(*pair) for pair in zip(frame["complaints"], frame["delivered"], strict=True)],
        of_reached=[share(*pair) for pair in zip(frame["complaints"], frame["reached"], strict=True)],
        line=[line_of(*pair) for pair in zip(frame["complaints"], frame["reached"], strict=True)],
        **{"from": [", ".join(messages.listed(one)) for one in frame["providers"]]},
    )
    chosen = table(shown, _SENDERS, key="complaint_senders", ids="sender", name="complaints-by-sender")
    if not chosen:
        st.caption("Choose a row to see the single complaints.")
        return
    places.sender_link(chosen, label=f"All about {plain(short(sender_parts(chosen)[2], 60))}")
    _rows(chosen)


def _rows(sender: str) -> None:
    rows = data.query("complaints", places.window(), sender=sender, limit=100, fresh_seconds=_SLOW).value
    shown = rows.assign(shown=[sender_parts(str(key))[2] for key in rows["sender"]])
    if message := table(shown, _ONE, key="complaint_rows", ids="message_id", name="complaints"):
        messages.panel({"message_id": message})


def _by_campaign() -> None:
    reading = data.query("complaint_campaigns", places.window(), limit=50, fresh_seconds=_SLOW)
    if reading.value.empty:
        return
    st.subheader("By campaign", anchor=False)
    st.caption("One text of one sender. Delivered: how many recipients got that text.")
    frame = reading.value
    shown = frame.assign(shown=[sender_parts(str(key))[2] for key in frame["sender"]])
    table(shown, _CAMPAIGNS, key="campaigns", name="complaints-by-campaign")


def _loops() -> None:
    if not data.reader().sees_everything:
        return
    reading = data.query("feedback", fresh_seconds=_SLOW)
    st.subheader("By loop", anchor=False)
    st.caption("All reports of 30 days, also those nobody could be named for, beside one-click unsubscriptions.")
    if reading.value.empty:
        notices.empty(
            "No complaint has come. Register at the loops (docs/reports.md), or bring a file:",
            command="mailweir ingest arf FILE",
        )
        return
    table(reading.value, _LOOPS, key="loops", name="loops")


def dmarc(now: datetime) -> None:
    """Domains, their days, and the addresses that send in their name."""
    domains = data.query("dmarc_domains", limit=200, fresh_seconds=_SLOW)
    if domains.value.empty:
        if domains.as_of is not None:
            notices.empty(
                "No DMARC report has come. Set `rua=` in the domains' DMARC records, or bring files:",
                command="mailweir ingest dmarc FILE",
                icon="verified_user",
            )
        return
    frame = domains.value.fillna({"aligned": 0, "quarantined": 0, "rejected": 0})
    shown = frame.assign(rate=frame["aligned"] / frame["messages"])
    st.subheader("Domains", anchor=False)
    chosen = table(shown, _DOMAINS, key="dmarc_domains", ids="domain", name="dmarc-domains")
    days = data.query("dmarc_days", domain=chosen, fresh_seconds=_SLOW).value.fillna({"aligned": 0})
    places.chart_title("By day", f"messages reported{f', {plain(chosen)}' if chosen else ''}, the last 30 days")
    drawn = days.assign(failed=days["messages"] - days["aligned"])
    st.altair_chart(of_outside.dmarc(drawn, palette()), key="dmarc", alt="DMARC results by day")
    if not chosen:
        st.caption("Choose a domain to see from which addresses mail in its name came.")
        return
    found = data.query("dmarc_sources", domain=chosen, limit=200, fresh_seconds=_SLOW).value
    found = found.fillna({"aligned": 0})
    st.subheader(f"Who sends as {chosen}", anchor=False)
    table(
        found.assign(
            rate=found["aligned"] / found["messages"],
            whose=["ours" if is_ours else "not ours" for is_ours in found["ours"]],
        ),
        _SOURCES,
        key="dmarc_sources",
        name=f"dmarc-{chosen}",
    )
    st.caption("An address not ours that fails is a forger, a forwarder, or a service the customer forgot to set up.")


def tls(now: datetime) -> None:
    reading = data.query("tls_domains", limit=200, fresh_seconds=_SLOW)
    if reading.value.empty:
        if reading.as_of is not None:
            notices.empty(
                "No TLS report has come. Set `_smtp._tls` in domains that receive mail here, or bring files:",
                command="mailweir ingest tlsrpt FILE",
                icon="lock",
            )
        return
    st.caption("What others met when they delivered mail to these domains.")
    table(reading.value, _TLS, key="tls", name="tls-reports")


def snds(now: datetime) -> None:
    reading = data.query("snds", limit=500, fresh_seconds=_SLOW)
    if reading.value.empty:
        if reading.as_of is not None:
            notices.empty(
                "No file of SNDS has come. Request your networks there (docs/reports.md), then:",
                command="mailweir ingest snds FILE",
                icon="lan",
            )
        return
    frame = reading.value
    table(
        frame.assign(
            colour=[listings.colour(one).word for one in frame["result"]],
            complaints=[_span(*pair) for pair in zip(frame["complaint_low"], frame["complaint_high"], strict=True)],
        ),
        _SNDS,
        key="snds",
        name="snds",
    )


def figures(provider: str, now: datetime) -> None:
    """`postmaster` (Google) or `yahoo`: the spam rate as a picture, everything as rows."""
    reading = data.query(provider, domain="", limit=1000, fresh_seconds=_SLOW)
    verb = "gpt" if provider == "postmaster" else "yahoo"
    if reading.value.empty:
        if reading.as_of is not None:
            notices.empty(
                "Nothing has come. Verify your domains there (docs/reports.md), export, then:",
                command=f"mailweir ingest {verb} FILE",
                icon="query_stats",
            )
        return
    frame = reading.value
    rate = frame[frame["metric"].isin(["SPAM_RATE", "COMPLAINT_RATE"]) & frame["value"].notna()]
    if len(rate):
        busiest = list(rate.groupby("domain")["value"].max().sort_values(ascending=False).index[:4])
        rate = rate[rate["domain"].isin(busiest)]
        drawn = pd.DataFrame(
            {
                "day_at": pd.to_datetime(rate["day"], utc=True),
                "part": rate["domain"],
                "rate": rate["value"],
                "words": [f"{value:.2%}" for value in rate["value"]],
            }
        ).sort_values("day_at")
        places.chart_title("Spam reported by users", "of mail in the inbox, by day; the four worst domains")
        st.altair_chart(of_outside.rates(drawn, palette()), key=provider, alt="Spam rate by day")
    shown = frame.assign(
        day=frame["day"].astype(str).str[:10],
        shown=[_figure(*row) for row in zip(frame["metric"], frame["value"], frame["text"], strict=True)],
    )
    table(shown, _FIGURES, key=f"figures_{provider}", name=provider)


def _figure(metric: str, value: float, text: str) -> str:
    if pd.isna(value):
        return text
    return f"{value:.2%}" if str(metric).endswith("RATE") else count(value)


def _span(low: float, high: float) -> str:
    if pd.isna(low) or pd.isna(high):
        return "unknown"
    return f"below {high:.1%}" if low == 0 else f"{low:.1%}" if low == high else f"{low:.1%} to {high:.1%}"
