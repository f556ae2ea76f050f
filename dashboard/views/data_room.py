"""Data: ask the warehouse anything, take whole tables away, the notebooks, and how long things are kept."""

import pandas as pd
import streamlit as st

from analytics.client import QueryError
from analytics.search.files import parquet_of
from analytics.search.tables import TABLES
from dashboard import data
from dashboard.components import notices, orders, places
from dashboard.components.table import Column, Kind, table
from dashboard.components.words import count, label_of, plain
from dashboard.searching import asking, forgetting, freely, saved
from dashboard.searching.freely import Question
from relay.tree import Role

_COLUMNS = "SELECT table_name, column_name, data_type FROM information_schema.columns ORDER BY ALL"
_QUESTION = "sql_question"
_STARTS = {
    "Outcomes by day": (
        "SELECT date_trunc('day', finished_at) AS day, outcome, count(*) AS recipients\n"
        "FROM recipient\nWHERE finished_at > now() - INTERVAL 7 DAY\nGROUP BY ALL\nORDER BY ALL"
    ),
    "Replies that bounced": (
        "SELECT destination, code, enhanced, category, count(*) AS recipients, any_value(text) AS text\n"
        "FROM recipient\nWHERE outcome = 'bounced' AND finished_at > now() - INTERVAL 7 DAY\n"
        "GROUP BY ALL\nORDER BY recipients DESC\nLIMIT 100"
    ),
    "Busiest senders": (
        "SELECT sender, sum(accepted) AS accepted, sum(held) AS held, sum(bounced) AS bounced\n"
        "FROM rollup_minute\nWHERE minute > now() - INTERVAL 1 DAY\nGROUP BY ALL\nORDER BY accepted DESC\nLIMIT 50"
    ),
}
_NOTEBOOKS = (
    ("01", "Traffic: what comes in, goes out, and how fast"),
    ("02", "Sender reputation: who earns trust, and by what"),
    ("03", "Spam model: what it knows, and where it errs"),
    ("04", "Deliverability: providers, replies, addresses"),
    ("05", "One incident, from its first mail to its end"),
)


def _page() -> None:
    places.header("Data", data.now(), live=False)
    part = st.segmented_control(
        "Part",
        ["SQL", "Tables", "Notebooks", "Retention"],
        default="SQL",
        required=True,
        key="part",
        bind="query-params",
        label_visibility="collapsed",
    )
    match part:
        case "Tables":
            _tables()
        case "Notebooks":
            _notebooks()
        case "Retention":
            _retention()
        case _:
            _sql()
    orders.open_dialog()


def _sql() -> None:
    if not (data.reader().may(Role.ADMIN) and data.reader().sees_everything):
        notices.empty(
            "Free questions see the whole warehouse, so they are an administrator's. Sign in as one, or ask in a "
            "terminal on this machine:",
            command="mailweir sql 'SELECT outcome, count(*) FROM recipient GROUP BY ALL'",
            icon="lock",
        )
        return
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.caption("Begin with", width="content")
        for label, text in _STARTS.items():
            st.button(label, key=f"start_{label}", type="tertiary", on_click=_begin, args=(text,))
        saved.menu("sql", "sql", what="question")
    text = st.text_area("SELECT", key="sql", height=170, placeholder=_STARTS["Outcomes by day"])
    question: Question | None = st.session_state.get(_QUESTION)
    with st.container(horizontal=True, vertical_alignment="center"):
        is_running = question is not None and not question.is_over
        if st.button("Run", type="primary", icon=":material/play_arrow:", disabled=is_running) and (text or "").strip():
            st.session_state[_QUESTION] = freely.asked(str(text))
            st.rerun()
        st.caption("Reads only; at most 100,000 rows and 20 seconds.")
    if question is not None:
        if is_running:
            _waiting()
        else:
            _answer(question)
    _schema()


def _begin(text: str) -> None:
    st.session_state["sql"] = text


@st.fragment(run_every=0.5)
def _waiting() -> None:
    question: Question = st.session_state[_QUESTION]
    if question.is_over:
        st.rerun(scope="app")
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(":material/hourglass_empty: Running")
        if st.button("Cancel", key="sql_cancel", icon=":material/stop:"):
            freely.give_up(question)


def _answer(question: Question) -> None:
    if question.frame is None:
        st.error("**No answer.**", icon=":material/error:")
        st.code(question.trouble, language=None, wrap_lines=True)
        return
    frame = question.frame
    if "truncated" in frame.attrs:
        st.warning(f"Cut after {count(frame.attrs['truncated'])} rows: there are more.", icon=":material/content_cut:")
    table(frame, [Column(str(name), str(name), _kind(frame[name])) for name in frame.columns], key="answer")
    st.download_button(
        "Parquet",
        data=lambda: parquet_of(frame),
        file_name="answer.parquet",
        mime="application/vnd.apache.parquet",
        key="answer_parquet",
        on_click="ignore",
        type="tertiary",
        icon=":material/download:",
    )


def _kind(values: "pd.Series[object]") -> Kind:
    if pd.api.types.is_datetime64_any_dtype(values):
        return Kind.INSTANT
    if pd.api.types.is_integer_dtype(values):
        return Kind.COUNT
    return Kind.NUMBER if pd.api.types.is_float_dtype(values) else Kind.TEXT


def _schema() -> None:
    with st.expander("Tables and columns", icon=":material/schema:"):
        try:
            known = data.analytics_client().sql(_COLUMNS)
        except QueryError as error:
            st.caption(plain(error.detail))
            return
        name = st.selectbox("Table", sorted(known["table_name"].unique()), key="schema_table")
        columns = [Column("column_name", "Column"), Column("data_type", "Type", width="large")]
        table(known[known["table_name"] == name].reset_index(drop=True), columns, key="schema")


def _tables() -> None:
    st.markdown("A whole table as a Parquet file, within what you may see. Larger ones from a terminal, at any size:")
    st.code("mailweir export parquet recipient recipient.parquet --since 2026-11-01", language="sh")
    with st.container(horizontal=True, vertical_alignment="bottom"):
        name = st.selectbox("Table", list(TABLES), key="export_table", width=260) or "message"
        window = places.window()
        since = window.since(data.now()).isoformat()
        st.download_button(
            f"{label_of(name)}, {window.words}",
            data=lambda: asking.table_file(name, since),
            file_name=f"{name}.parquet",
            mime="application/vnd.apache.parquet",
            key="export_file",
            on_click="ignore",
            icon=":material/download:",
        )


def _notebooks() -> None:
    st.markdown("Each tells a story with plots, and runs on this installation. They open from a terminal:")
    for number, words in _NOTEBOOKS:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(words, width=420)
            st.code(f"mailweir notebook {number}", language="sh", width="content")


def _retention() -> None:
    kept = data.settings().analytics
    names = [name for name in type(kept).model_fields if "days" in name or "retention" in name]
    rows = [
        {
            "key": f"analytics.{name}",
            "value": str(getattr(kept, name)),
            "what": type(kept).model_fields[name].description,
        }
        for name in names
    ]
    rows.append(
        {"key": "policy.hold_days", "value": f"{data.policy().hold_days:g}", "what": "held mail is kept so many days"}
    )
    table(
        pd.DataFrame(rows),
        [Column("key", "Setting"), Column("value", "Now"), Column("what", "What it says", width="large")],
        key="retention",
    )
    st.caption(
        "The settings stand in mailweir.toml and are read at the next start; the policy: `mailweir policy apply`."
    )
    forgetting.show()


_page()
