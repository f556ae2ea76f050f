"""The table of all pages: what a filter leaves, what a file holds, and which row a click means."""

import csv
import io
from datetime import UTC, datetime

import pandas as pd
from streamlit.testing.v1 import AppTest

from dashboard.components.table import Column, Kind, csv_of, matching

COLUMNS = [Column("who", "Who"), Column("seen_at", "Seen", Kind.INSTANT), Column("n", "Messages", Kind.COUNT)]
FRAME = pd.DataFrame(
    {
        "who": ["ann@a.example", "Bob, the =builder", None],
        "seen_at": [datetime(2026, 11, 26, 9, tzinfo=UTC), datetime(2026, 11, 25, 9, tzinfo=UTC), pd.NaT],
        "n": [1200, 7, 0],
    }
)


def test_a_filter_keeps_rows_with_all_the_words_whatever_the_case() -> None:
    assert matching(FRAME, COLUMNS, "BOB builder")["n"].tolist() == [7]
    assert matching(FRAME, COLUMNS, "11-26")["n"].tolist() == [1200]
    assert matching(FRAME, COLUMNS, "ann builder").empty
    assert len(matching(FRAME, COLUMNS, "  ")) == 3


def test_a_filter_is_no_pattern() -> None:
    assert matching(FRAME, COLUMNS, ".*").empty
    assert matching(FRAME, COLUMNS, "(").empty


def test_a_filter_sees_only_the_shown_columns() -> None:
    assert matching(FRAME, COLUMNS[1:], "ann").empty


def test_a_file_holds_the_rows_under_their_titles() -> None:
    rows = list(csv.reader(io.StringIO(csv_of(FRAME, COLUMNS).decode(), newline="")))

    assert rows[0] == ["Who", "Seen", "Messages"]
    assert rows[1] == ["ann@a.example", "2026-11-26 09:00:00+00:00", "1200"]
    assert rows[2][0] == "Bob, the =builder"
    assert rows[3] == ["", "", "0"]


def test_a_subject_in_a_file_is_never_a_formula() -> None:
    frame = pd.DataFrame({"subject": ["=HYPERLINK(1)", "+1", "-2", "@x", "\t=1", "fine = yes"], "n": [-1] * 6})
    rows = list(csv.reader(io.StringIO(csv_of(frame).decode(), newline="")))

    assert [row[0] for row in rows[1:]] == ["'=HYPERLINK(1)", "'+1", "'-2", "'@x", "'\t=1", "fine = yes"]
    assert {row[1] for row in rows[1:]} == {"-1"}


def _page() -> None:
    import pandas as pd
    import streamlit as st

    from dashboard.components.table import Column, many, table

    names = st.session_state.get("names", ["a", "b", "c"])
    frame = pd.DataFrame({"id": names, "word": [f"word {name}" for name in names]})
    st.caption("one:" + table(frame, [Column("word", "Word")], key="one", ids="id"))
    st.caption("many:" + ",".join(many(frame, [Column("word", "Word")], key="many", ids="id")))


def _captions(app: AppTest) -> list[str]:
    return [str(caption.value) for caption in app.caption if ":" in caption.value]


def _choose(app: AppTest, key: str, rows: list[int]) -> None:
    app.session_state[key] = {"selection": {"rows": rows, "columns": [], "cells": []}}
    app.run()


def test_a_row_stays_chosen_by_its_id_when_rows_move() -> None:
    app = AppTest.from_function(_page).run()
    assert not app.exception
    assert _captions(app) == ["one:", "many:"]

    app.session_state["names"] = ["new", "a", "b", "c"]  # what the click below finds is newer than what was clicked
    _choose(app, "one", [1])
    first = _captions(app)[0]
    app.run()

    assert first == "one:b"
    assert _captions(app)[0] == "one:b"


def test_marks_move_with_their_rows_and_what_is_gone_is_not_one_of_many() -> None:
    app = AppTest.from_function(_page).run()
    _choose(app, "many", [0, 2])
    assert _captions(app)[1] == "many:a,c"

    app.session_state["names"] = ["new", "a", "b", "c"]
    app.run()
    assert _captions(app)[1] == "many:a,c"
    assert app.session_state["many~1"]["selection"]["rows"] == [1, 3]

    app.session_state["names"] = ["new", "b", "c"]
    app.run()
    assert _captions(app)[1] == "many:c"
    assert app.session_state["many~2"]["selection"]["rows"] == [2]

    _choose(app, "many~2", [0, 2])
    assert _captions(app)[1] == "many:new,c"


def test_short_tables_have_no_filter_and_long_ones_do() -> None:
    app = AppTest.from_function(_page).run()
    assert not app.text_input

    app.session_state["names"] = [f"n{number}" for number in range(20)]
    app.run()
    assert [box.key for box in app.text_input] == ["one_filter", "many_filter"]

    app.text_input[0].set_value("n19").run()
    assert app.dataframe[0].value["word"].tolist() == ["word n19"]
    assert len(app.dataframe[1].value) == 20
