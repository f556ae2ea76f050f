"""The one table of all pages: sorts by a click on a heading, filters by words, downloads as CSV, and a row is an id.

A click tells a row's number, and rows may have moved since the table was shown: so the ids that were shown are
remembered, and what was chosen stays chosen by its id. When rows move the marks move with them.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import pandas as pd
import streamlit as st

from dashboard import zone
from relay.control.sheet import inert

FILTERED_FROM = 8  # rows; fewer are seen at a glance


class Kind(StrEnum):
    """What a column holds, which says how it is written and aligned."""

    TEXT = "text"
    COUNT = "count"
    NUMBER = "number"
    INSTANT = "instant"
    SHARE = "share"  # in [0, 1], written in percent
    SCORE = "score"  # in [0, 1], a bar
    SECONDS = "seconds"


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a frame: `name` in the frame, `title` above it. `width`: small, medium, large, "" by content."""

    name: str
    title: str
    kind: Kind = Kind.TEXT
    help: str = ""
    width: str = ""
    format: str = ""  # printf, for NUMBER; strftime of moment.js, for INSTANT


def table(
    frame: pd.DataFrame,
    columns: Sequence[Column],
    *,
    key: str,
    ids: str = "",
    name: str = "",
    height: int | None = None,
) -> str:
    """Show the frame; return the id, from the column `ids`, of the row that was chosen, or "".

    `key` is unique on the page, made of letters and underscores: the filter stands in the address as `{key}_filter`.
    `name` is the downloaded file's, without its ending. Without `ids` rows cannot be chosen.
    """
    chosen = _show(frame, columns, _Asked(key, ids, name or key, height, is_many=False))
    return chosen[0] if chosen else ""


def many(
    frame: pd.DataFrame, columns: Sequence[Column], *, key: str, ids: str, name: str = "", height: int | None = None
) -> list[str]:
    """Show the frame with a box before each row; return the ids of those that were ticked."""
    return _show(frame, columns, _Asked(key, ids, name or key, height, is_many=True))


def clear(key: str) -> None:
    """Nothing is chosen any more in the table of this key: what was, is done."""
    place: _Place = st.session_state.setdefault(f"{key}-place", _Place())
    place.number, place.rows, place.found = place.number + 1, [], []


def matching(frame: pd.DataFrame, columns: Sequence[Column], words: str) -> pd.DataFrame:
    """The rows that have all the words somewhere in these columns, whatever the case.

    >>> frame = pd.DataFrame({"who": ["Ann", "Bob"], "code": [450, 550]})
    >>> matching(frame, [Column("who", "Who"), Column("code", "Code")], "BO 55")["who"].tolist()
    ['Bob']
    """
    wanted = words.casefold().split()
    if not wanted or frame.empty:
        return frame
    texts = pd.Series("", index=frame.index)
    for column in columns:
        texts = texts + " " + frame[column.name].map(_cell).str.casefold()
    keep = pd.Series(True, index=frame.index)
    for word in wanted:
        keep &= texts.str.contains(word, regex=False)
    return frame[keep]


def instants(label: str, *, written: str = "", **more: Any) -> Any:
    """A column of instants, in the reader's zone, which its heading names. `written`: as moment.js has it."""
    return st.column_config.DatetimeColumn(
        f"{label}, {zone.name()}", format=written or "D MMM HH:mm:ss", timezone=str(zone.zone()), **more
    )


def csv_of(frame: pd.DataFrame, columns: Sequence[Column] = ()) -> bytes:
    """The frame as CSV (RFC 4180) in UTF-8; instants are ISO 8601 in UTC.

    What came from outside and begins like a formula gets an apostrophe before it: a subject must not run in a sheet.
    """
    names = [column.name for column in columns] or list(frame.columns)
    titles = [column.title for column in columns] or names
    plain = pd.DataFrame({inert(title): frame[name].map(_safe) for name, title in zip(names, titles, strict=True)})
    text: str = plain.to_csv(index=False, lineterminator="\r\n")
    return text.encode()


@dataclass(frozen=True, slots=True)
class _Asked:
    key: str
    ids: str
    name: str
    height: int | None
    is_many: bool


@dataclass
class _Place:
    """What a reader has chosen in one table: the ids that were shown last, the rows marked, the ids found by them."""

    number: int = 0
    ids: list[str] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    found: list[str] = field(default_factory=list)

    def key_of(self, key: str) -> str:
        return f"{key}~{self.number}" if self.number else key


def _show(frame: pd.DataFrame, columns: Sequence[Column], asked: _Asked) -> list[str]:
    shown = _above(frame, columns, asked)
    options: dict[str, Any] = {} if asked.height is None else {"height": asked.height}
    key, found = asked.key, list[str]()
    if asked.ids:
        key, rows, found = _chosen(asked, [str(one) for one in shown[asked.ids]])
        mode = "multi-row" if asked.is_many else "single-row"
        options |= {"on_select": "rerun", "selection_mode": mode}
        options |= {"selection_default": {"selection": {"rows": rows}}} if rows else {}
    st.dataframe(
        pd.DataFrame({column.name: _typed(shown[column.name], column.kind) for column in columns}),
        hide_index=True,
        key=key,
        column_config={column.name: _config(column) for column in columns},
        placeholder="–",
        **options,
    )
    return found


def _above(frame: pd.DataFrame, columns: Sequence[Column], asked: _Asked) -> pd.DataFrame:
    """The line above the table: words to filter by, how many rows that leaves, and the download of those."""
    key = f"{asked.key}_filter"
    is_long = len(frame) >= FILTERED_FROM or bool(st.session_state.get(key) or st.query_params.get(key))
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        words = ""
        if is_long:
            words = st.text_input(
                "Filter",
                key=key,
                bind="query-params",
                placeholder="Filter these rows by words",
                icon=":material/filter_alt:",
                label_visibility="collapsed",
                width=320,
            )
        shown = matching(frame, columns, words or "")
        with st.container(horizontal=True, vertical_alignment="center", width="content"):
            of = f" of {len(frame):,}" if len(shown) != len(frame) else ""
            st.caption(f"{len(shown):,}{of} row{'' if len(frame) == 1 else 's'}", width="content")
            st.download_button(
                "CSV",
                data=lambda: csv_of(shown, columns),  # made only when somebody wants it
                file_name=f"{asked.name}.csv",
                mime="text/csv",
                key=f"{asked.key}_csv",
                on_click="ignore",
                type="tertiary",
                icon=":material/download:",
                help="These rows as a file",
            )
    return shown


def _chosen(asked: _Asked, ids: list[str]) -> tuple[str, list[int], list[str]]:
    """The table's key in this run, the rows to mark in it, and the ids behind them.

    Marks are kept by row number in the browser: when rows have moved, the table gets another key and is marked anew.
    What is gone can be answered no more, so it is no longer one of many; a single one stays on show.
    """
    place: _Place = st.session_state.setdefault(f"{asked.key}-place", _Place(ids=ids))
    rows = _clicked(place.key_of(asked.key))
    if rows != place.rows:
        place.found = [place.ids[row] for row in rows if row < len(place.ids)]
    at = {one: number for number, one in enumerate(ids)}
    marked = [at[one] for one in place.found if one in at]
    if asked.is_many:
        place.found = [one for one in place.found if one in at]
    place.number += marked != rows
    place.ids, place.rows = ids, marked
    return place.key_of(asked.key), marked, place.found


def _clicked(key: str) -> list[int]:
    """The rows that are marked in the browser, numbered as the table was when it was sent."""
    state = st.session_state.get(key)
    return list(state["selection"]["rows"]) if state else []


def _typed(values: "pd.Series[Any]", kind: Kind) -> "pd.Series[Any]":
    match kind:
        case Kind.INSTANT:
            return pd.to_datetime(values, utc=True)
        case Kind.COUNT | Kind.NUMBER | Kind.SHARE | Kind.SCORE | Kind.SECONDS:
            return pd.to_numeric(values, errors="coerce")
        case _:
            return values.map(_cell)


def _config(column: Column) -> Any:
    given: dict[str, Any] = {"label": column.title, "help": column.help or None, "width": column.width or None}
    match column.kind:
        case Kind.INSTANT:
            return instants(**given, written=column.format)
        case Kind.COUNT:
            return st.column_config.NumberColumn(format="localized", **given)
        case Kind.SHARE:
            return st.column_config.NumberColumn(format="percent", **given)
        case Kind.SECONDS:
            return st.column_config.NumberColumn(format="%.1f s", **given)
        case Kind.SCORE:
            return st.column_config.ProgressColumn(min_value=0, max_value=1, format="%.2f", **given)
        case Kind.NUMBER:
            return st.column_config.NumberColumn(format=column.format or "%.3g", **given)
        case _:
            return st.column_config.TextColumn(**given)


def _cell(value: Any) -> str:
    """A value as a person would search for it; nothing is ""."""
    if value is None or value is pd.NaT or (isinstance(value, float) and math.isnan(value)):
        return ""
    if hasattr(value, "tolist") and not isinstance(value, str):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return ", ".join(_cell(one) for one in value)
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False, default=str)
    if isinstance(value, pd.Timestamp):
        return str(value.isoformat(sep=" ", timespec="seconds"))
    return str(value)


def _safe(value: Any) -> Any:
    return value if isinstance(value, bool | int | float) else inert(_cell(value))
