"""Why a reputation is what it is: each signal with what it took, of a sender or an address."""

import streamlit as st

from dashboard import data
from dashboard.charts import of_reputation
from dashboard.components import notices, places
from dashboard.components.words import ago
from dashboard.theme import look, palette

_SLOW = data.SLOW_FRESH_SECONDS


def waterfall(kind: str, entity: str, account: str = "") -> None:
    """`kind` and `entity` as analytics names them; `account` where an entity is several accounts'."""
    known = data.query("reputations", entity_kind=kind, entity=entity, limit=10, fresh_seconds=_SLOW)
    costs = data.query("reputation_signals", entity_kind=kind, entity=entity, fresh_seconds=_SLOW)
    places.chart_title(
        "Why this reputation", "0 to 100; amber: what each signal took; teal: what is left, with its 90 % interval"
    )
    mine = known.value if not account else known.value[known.value["account"] == account]
    if mine.empty:
        st.caption("Not computed yet: it takes a minute of mail." if known.as_of else "Analytics does not answer.")
        return
    now = mine.iloc[0]
    signals = costs.value[costs.value["account"] == now["account"]]
    with notices.aged(f"waterfall-{kind}", known, costs):
        drawn = of_reputation.steps(signals, now.to_dict())
        st.altair_chart(of_reputation.fall(drawn, palette()), key=f"waterfall-{kind}", alt="What each signal took")
        few = " Too few messages to judge: nothing acts on it." if now["band"] == "unknown" else ""
        computed = ago(data.instant(now["computed_at"]), data.now())
        st.caption(
            f"{look(now['band']).word}, of {now['n']:,} messages of about the last week, computed {computed}.{few}"
        )
