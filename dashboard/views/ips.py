"""IPs and pools: how each address stands with each provider and list, how warm it is, and who hurt it."""

from datetime import datetime
from typing import Any

import pandas as pd
import streamlit as st

from dashboard import asking, data
from dashboard.charts import of_egress
from dashboard.components import listings, notices, places, reputation, source, source_orders
from dashboard.components.table import Column, table
from dashboard.components.words import plain
from dashboard.data import Reading, delivery
from dashboard.theme import look, palette
from relay.control.egress.views import PoolView, SourceView

_FEW = 50  # messages: reputation calls fewer unknown
_COLUMNS = [
    Column("name", "Source"),
    Column("address", "Address"),
    Column("state", "State"),
    Column("pools", "Pools"),
    Column("reputation", "Reputation", help="0 to 100, with the 90 % interval."),
    Column("listed", "DNS lists"),
    Column("snds", "Microsoft SNDS"),
    Column("troubles", "At destinations", width="medium", help="Where it rests, is degraded, or has a bad name."),
]
_POOL_COLUMNS = [
    Column("name", "Pool"),
    Column("members", "Members and weights", width="medium"),
    Column("leaves", "Its mail leaves from", width="medium"),
    Column("accounts", "Own pool of", width="medium"),
]


@st.fragment(run_every=10)
def _list() -> None:
    asking.rerun_if_wanted()
    now = data.now()
    places.header("IPs and pools", now)
    sources, pools = delivery.sources(), delivery.pools()
    listed = data.query("listings", fresh_seconds=data.SLOW_FRESH_SECONDS)
    heat = data.query("reputation_heat", limit=1000, fresh_seconds=data.SLOW_FRESH_SECONDS)
    ips = data.query("reputations", entity_kind="ip", limit=1000, fresh_seconds=data.SLOW_FRESH_SECONDS)
    snds = data.query("snds", limit=500, fresh_seconds=data.SLOW_FRESH_SECONDS)
    notices.troubles(now, analytics=[listed, heat, ips], relay=[sources, pools])
    matrix = listings.matrix(listed.value, now)
    with notices.aged("sources", sources, ips):
        _in_a_word(sources, matrix, listed)
        _sources(sources, _known_about(ips.value, matrix, snds.value), now)
    with notices.aged("heat", heat):
        _heat(heat, sources)
    with notices.aged("matrix", listed):
        _matrix(matrix, listed)
        _who_caused_it(matrix, sources)
    with notices.aged("pools", pools):
        _pools(pools)


def _in_a_word(sources: Reading[list[SourceView]], matrix: pd.DataFrame, listed: Reading[pd.DataFrame]) -> None:
    if sources.as_of is None or listed.as_of is None:
        st.markdown(":gray-badge[:material/help: Unknown] :gray[how the addresses stand: not everybody has answered]")
        return
    bad = sorted(set(matrix.loc[matrix["state"] == "listed", "address"]))
    out = [row.name for row in sources.value if row.state == "quarantined"]
    words = []
    if bad:
        words.append(f":red-badge[:material/report: {len(bad)} listed: {plain(', '.join(bad))}]")
    if out:
        words.append(f":red-badge[:material/do_not_disturb_on: {len(out)} out of use: {plain(', '.join(out))}]")
    once = sorted(set(matrix.loc[matrix["state"] == "seen once", "address"]) - set(bad))
    if once:
        words.append(
            f":orange-badge[:material/hourglass_top: {len(once)} seen on a list once: {plain(', '.join(once))}]"
        )
    asked = matrix[matrix["state"].isin(["listed", "seen once", "clean"])]
    if not bad and not once:
        words.append(
            ":green-badge[:material/check_circle: No address is listed]"
            if len(asked)
            else ":gray-badge[:material/help: No list answers] :gray[name lists under dnsbl.zones]"
        )
    st.markdown(" ".join(words))


def _known_about(ips: pd.DataFrame, matrix: pd.DataFrame, snds: pd.DataFrame) -> dict[str, dict[str, str]]:
    """By address: reputation, listed, snds, in words."""
    found: dict[str, dict[str, str]] = {}
    for row in ips.itertuples():
        is_known = row.band != "unknown"
        words = f"{row.score:.0f} ({row.low:.0f}–{row.high:.0f}), {look(row.band).word.lower()}"
        found.setdefault(str(row.entity), {})["reputation"] = words if is_known else f"unknown, n = {row.n}"
    for address, part in matrix.groupby("address"):
        found.setdefault(str(address), {})["listed"] = listings.worst(part["state"]).word
    for row in snds.drop_duplicates("ip").itertuples():  # the latest day first
        found.setdefault(str(row.ip), {})["snds"] = listings.colour(row.result).word
    return found


def _sources(sources: Reading[list[SourceView]], known: dict[str, dict[str, str]], now: datetime) -> None:
    if not sources.value:
        if sources.as_of is not None:
            notices.empty(
                "No source is set up: mail leaves from the address the system chooses. To choose yourself, "
                "and keep suspect mail away from good:",
                command="mailweir ip add out1 192.0.2.1 --ehlo out1.example.org",
                icon="lan",
            )
        return
    st.subheader("Addresses mail leaves from", anchor=False)
    frame = pd.DataFrame(
        [
            {
                "name": row.name,
                "address": row.address,
                "state": source.state_of(row).word,
                "pools": ", ".join(sorted(row.pools)),
                "reputation": known.get(row.address, {}).get("reputation", "unknown"),
                "listed": known.get(row.address, {}).get("listed", "Unknown"),
                "snds": known.get(row.address, {}).get("snds", "Unknown"),
                "troubles": source.troubles_in_words(row, now),
            }
            for row in sources.value
        ]
    )
    if chosen := table(frame, _COLUMNS, key="sources", ids="name", name="sources"):
        st.session_state["open_source"] = chosen
        st.rerun(scope="app")
    st.caption("Choose a row: its warm-up, who hurt it, and what you can do.")


def _heat(heat: Reading[pd.DataFrame], sources: Reading[list[SourceView]]) -> None:
    places.chart_title("Reputation by provider", "0 to 100; below it 90 % interval and messages; grey: too few to know")
    if heat.value.empty:
        st.caption("No address has a reputation yet: it takes some minutes of mail." if heat.as_of else "Unknown.")
        return
    frame = heat.value
    busiest = frame.groupby("destination")["n"].sum().sort_values(ascending=False).index[:10]
    shown = frame[frame["destination"].isin(busiest)].copy()
    shown["rank"] = shown["destination"].map({name: place for place, name in enumerate(busiest)})
    is_known = (shown["band"] != "unknown").to_numpy()
    shown["label"] = [f"{row.score:.0f}" if row.band != "unknown" else "unknown" for row in shown.itertuples()]
    shown["below"] = [_below(row) for row in shown.itertuples()]
    shown["range"] = [f"{row.low:.0f}–{row.high:.0f}" for row in shown.itertuples()]
    shown["score"] = shown["score"].astype("float64").where(is_known)
    columns = ["address", "destination", "label", "below", "range", "score", "n"]
    state = st.altair_chart(
        of_egress.heat(shown.sort_values(["address", "rank"])[columns], palette()),
        key="heat",
        on_select="rerun",
        alt="Reputation of each address at each provider",
    )
    hidden = frame["destination"].nunique() - len(busiest)
    if hidden > 0:
        st.caption(f"The ten busiest destinations; {hidden} more stand at each address.")
    picked = state["selection"].get(of_egress.PICKED)
    if not picked:
        st.caption("Choose a tile to see why, and its mail.")
        return
    _tile(str(picked[0]["address"]), str(picked[0]["destination"]), sources)


def _tile(address: str, destination: str, sources: Reading[list[SourceView]]) -> None:
    """An address at a provider: why its reputation is what it is, and where the rows behind it are."""
    with st.container(border=True):
        name = next((row.name for row in sources.value if row.address == address), "")
        st.markdown(f"**{plain(address)} at {plain(destination)}**")
        with st.container(horizontal=True):
            places.page_link("views/destinations.py", f"All of {destination}", "outgoing_mail", destination=destination)
            if name:
                places.page_link("views/ips.py", f"All of {name}", "lan", source=name)
            places.search_link("Its messages", f"source:{address} destination:{destination}")
        reputation.waterfall("ip_provider", f"{address}|{destination}")


def _below(row: Any) -> str:
    span = f"{row.low:.0f}–{row.high:.0f}\n" if row.band != "unknown" else ""
    return f"{span}n {row.n:,}"


def _matrix(matrix: pd.DataFrame, listed: Reading[pd.DataFrame]) -> None:
    places.chart_title("DNS lists", "what each says of each address, and since when")
    if matrix.empty:
        if listed.as_of is not None:
            notices.empty(
                "No list is asked. Name some in the settings, under `[dnsbl]`: "
                '`zones = ["zen.spamhaus.org", "bl.spamcop.net"]`, then:',
                command="mailweir reload",
                icon="fact_check",
            )
        return
    st.altair_chart(of_egress.matrix(matrix, palette()), key="matrix", alt="Listings of each address")
    if bad := listings.unhealthy(listed.value):
        st.caption(
            f":material/dangerous: Not to be relied on now: {', '.join(bad)}. What they say changes nothing, and "
            "is no sign that an address is clean."
        )
    domains = listed.value
    domains = domains[(domains["entity_kind"] == "domain") & domains["confirmed"].eq(True)]
    for row in domains.itertuples():
        st.markdown(f":red-badge[:material/report: Listed] domain {plain(str(row.address))} on {plain(str(row.zone))}")


def _who_caused_it(matrix: pd.DataFrame, sources: Reading[list[SourceView]]) -> None:
    """What to do about a listing: the address's page, or the command where it is no source."""
    names = {row.address: row.name for row in sources.value}
    for address in sorted(set(matrix.loc[matrix["state"] == "listed", "address"])):
        if address in names:
            places.page_link("views/ips.py", f"Who caused the listing of {address}", "lan", source=names[address])
        else:
            st.caption(f"Who caused it, and what to do then (docs/runbooks.md): `mailweir ip culprits {address}`")


def _pools(pools: Reading[list[PoolView]]) -> None:
    if not pools.value:
        return
    st.subheader("Pools", anchor=False)
    rows: list[dict[str, Any]] = [
        {
            "name": row.name,
            "members": ", ".join(f"{name} × {weight}" for name, weight in row.members.items()) or "none of its own",
            "leaves": ", ".join(row.leaves_through) or "the system's choice",
            "accounts": ", ".join(row.accounts),
        }
        for row in pools.value
    ]
    table(pd.DataFrame(rows), _POOL_COLUMNS, key="pools", name="pools")


asking.take()
if culprit := st.session_state.pop("open_sender", None):
    places.go_to_sender(culprit)
if opened := st.session_state.pop("open_source", None):
    st.query_params["source"] = opened
if shown := st.query_params.get("source"):
    source.page(shown)
else:
    _list()
asking.open_dialog(source_orders.DIALOGS)
