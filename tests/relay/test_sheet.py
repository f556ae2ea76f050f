"""No CSV of ours runs a formula in a spreadsheet, and what we wrote comes back as it was."""

import csv
import io
import re

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.components import suppression
from dashboard.components.table import csv_of
from relay.control.sheet import inert, restored
from tests.builders import ROOT

_WRITES = re.compile(r"csv\.(?:writer|DictWriter)\(|\.to_csv\(")


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "'=1"])
def test_text_that_a_sheet_would_run_stands_behind_an_apostrophe(text: str) -> None:
    assert inert(text) == f"'{text}"


@pytest.mark.parametrize("value", ["it's =1", "a-b", "", -5, -0.5, None, True])
def test_what_is_no_formula_stays(value: object) -> None:
    assert inert(value) == value


@given(st.text("'=+-@\t ab", max_size=8))
def test_a_cell_comes_back_as_it_was(text: str) -> None:
    assert restored(inert(text)) == text


def test_a_table_s_headings_are_cells_too() -> None:
    lines = list(csv.reader(io.StringIO(csv_of(pd.DataFrame({"=1+1": ["@x", "y"]})).decode())))
    assert lines == [["'=1+1"], ["'@x"], ["y"]]


def test_an_exported_address_that_looks_like_a_formula_is_imported_as_it_was() -> None:
    (row,) = suppression.read(b"address,reason\n'+tag@a.example,by_hand\n")
    assert row.address == "+tag@a.example"


def test_nothing_writes_csv_past_it() -> None:
    past = [
        str(path.relative_to(ROOT))
        for room in ("relay", "analytics", "dashboard")
        for path in sorted((ROOT / room).rglob("*.py"))
        if _WRITES.search(text := path.read_text()) and "relay.control.sheet import" not in text
    ]
    assert past == []
