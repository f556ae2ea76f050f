"""The page Data: free questions for administrators only, tables, notebooks, what is kept how long."""

from collections.abc import Callable
from typing import Any

from streamlit.testing.v1 import AppTest

from tests.builders import Installation
from tests.dashboard.conftest import House
from tests.dashboard.test_pages import assert_calm, shown
from tests.dashboard.test_setup import browser as browser

Open = Callable[..., AppTest]


def test_who_is_no_administrator_is_told_and_gets_no_box(shared_house: House, open_page: Open) -> None:
    page = open_page(shared_house.installation, "data_room")

    assert_calm(page)
    assert "an administrator's" in shown(page)
    assert not page.text_area


def test_the_other_parts_tell_what_there_is(empty: Installation, open_page: Open) -> None:
    tables = open_page(empty, "data_room", part="Tables")
    notebooks = open_page(empty, "data_room", part="Notebooks")
    kept = open_page(empty, "data_room", part="Retention")

    for page in (tables, notebooks, kept):
        assert_calm(page)
    assert "recipient" in tables.selectbox[0].options
    assert [f"mailweir notebook 0{number}" for number in range(1, 6)] == [code.value for code in notebooks.code]
    assert "analytics.retention_days" in kept.dataframe[0].value["key"].tolist()


def test_an_administrator_asks_and_gives_up_a_question(browser: Callable[[str], Any]) -> None:
    page = browser("ada")
    page.goto("/data_room")

    box = page.get_by_label("SELECT")
    box.fill("SELECT count(*) AS senders FROM (SELECT DISTINCT sender FROM message)")
    box.press("Control+Enter")
    page.get_by_role("button", name="Run").click()
    page.get_by_text("1 row", exact=True).wait_for()

    box.fill("SELECT count(*) FROM range(100000000) a, range(100000000) b WHERE hash(a.range, b.range) = 7")
    box.press("Control+Enter")
    page.get_by_role("button", name="Run").click()
    page.get_by_role("button", name="Cancel").click()
    page.get_by_text("given up: nobody waits").wait_for()

    page.get_by_role("button", name="Saved").click()
    page.get_by_label("Keep this one as").fill("Pairs")
    page.get_by_label("Keep this one as").press("Enter")
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_role("button", name="Pairs").wait_for()
    page.keyboard.press("Escape")

    page.get_by_text("Tables and columns").click()
    page.get_by_text("data_type").or_(page.get_by_label("Table")).first.wait_for()
    assert page.get_by_test_id("stException").count() == 0
