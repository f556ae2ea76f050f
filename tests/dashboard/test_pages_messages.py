"""The page Messages on a real relay and a real analytics: query, fault, builder, one message, its actions."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress

import pytest
from streamlit.testing.v1 import AppTest

from analytics.client import QueryClient, QueryError
from analytics.search.fields import FIELDS
from analytics.search.parser import parse
from dashboard.data import now
from dashboard.searching.box import EXAMPLES, written
from relay.control.waiting.views import PauseOrder
from relay.tree import Role
from relay.users.views import NewUser, TokenOrder
from tests.builders import until
from tests.dashboard.conftest import SENDER, House
from tests.dashboard.test_pages import assert_calm, shown

Open = Callable[..., AppTest]


def test_a_message_is_found_read_and_released_on_the_page(house: House, open_page: Open) -> None:
    """One installation for several claims: starting it takes longer than asking it."""
    wrong = open_page(house.installation, "messages", q="sendr:a")
    assert_calm(wrong)
    assert "did you mean sender" in shown(wrong).replace("`", "")
    assert wrong.code[0].value == "sendr:a\n^^^^^"
    assert not wrong.dataframe

    page = open_page(house.installation, "messages", q=f"sender:{SENDER} outcome:held")
    assert_calm(page)
    until(lambda: len(page.dataframe[0].value) == 3 or not page.run(), 30)  # a busy machine finds the newest first
    assert page.dataframe[0].value["verdict"].tolist() == ["Held"] * 3
    assert "3 found" in shown(page).replace("*", "")

    nothing = open_page(house.installation, "messages", q="to:nobody@nowhere.example")
    assert_calm(nothing)
    assert "Nothing matches" in shown(nothing)

    with house.installation.client() as relay:
        message_id = relay.held(sender=SENDER)[0].message_id
    one = open_page(house.installation, "messages", q=f"id:{message_id}", message=message_id)
    assert_calm(one)
    labels = {button.label for button in one.button}
    assert {"Release", "Delete", "It is spam", "It is no spam", "Suppress recipient"} <= labels
    assert not {"Try again now", "Give it up"} & labels
    assert "Received" in shown(one)

    one.button(key="act_release").click().run()
    assert_calm(one)
    assert "1 recipient" in shown(one)
    with house.installation.client() as relay:
        assert len(relay.held(sender=SENDER)) == 3
    one.button(key="order_do").click().run()
    assert_calm(one)
    house.sink.wait_for(1, 20)
    with house.installation.client() as relay:
        assert message_id not in [held.message_id for held in relay.held(sender=SENDER)]
    _is_given_up_with_a_reason(house)


def _is_given_up_with_a_reason(house: House) -> None:
    with house.installation.client() as relay:
        relay.pause_queue(PauseOrder(account="acme"))
        house.submit("Nobody is there", "shop@acme.example")
        until(lambda: relay.queued(account="acme").recipients)
        waiting = relay.queued(account="acme").recipients
        relay.add_user(NewUser(name="olga", role=Role.OPERATOR, by_provider=True))
        app = AppTest.from_function(_giving_up, default_timeout=30)
        app.session_state["token"] = relay.make_token("olga", TokenOrder(seconds=600)).token
        app.session_state["message"] = next(one.message_id for one in waiting if one.subject == "Nobody is there")

        app.run()
        assert_calm(app)
        assert "the sender is told" in shown(app)
        assert app.button(key="order_do").disabled  # the sender reads why
        app.text_input(key="act_bounce_reason").set_value("left the company").run()
        app.button(key="order_do").click().run()

        gone = app.session_state["message"]
        until(lambda: gone not in [one.message_id for one in relay.queued(account="acme").recipients])
        assert [(row.principal, row.command) for row in relay.audit(limit=1)] == [("olga", "queue.bounce")]


def _giving_up() -> None:
    import streamlit as st

    from dashboard import data
    from dashboard.entry.keeper import Reader
    from dashboard.searching import acts
    from relay.tree import Principal, Role

    st.session_state[data.READER] = Reader(Principal("olga", Role.OPERATOR), st.session_state["token"])
    acts._bounce(st.session_state["message"])


def test_what_the_builder_writes_is_read_as_it_was_meant() -> None:
    assert written(FIELDS["subject"], "is", 'say "hi" (50% *)') == 'subject:"say \\"hi\\" (50% \\*)"'
    assert written(FIELDS["from"], "begins with", "news@") == "from:news@*"
    assert written(FIELDS["score"], "between", "0.5", "0.9") == "score:0.5..0.9"
    assert written(FIELDS["time"], "from", "2h") == "time:2h.."
    for name, way, value in (("helo", "contains", "a b"), ("size", "at most", "5M"), ("action", "is", "hold,reject")):
        assert parse(written(FIELDS[name], way, value), now()) is not None


def test_the_examples_of_the_page_are_queries() -> None:
    for _, query in EXAMPLES:
        assert parse(query, now()) is not None


def _answers(house: House) -> bool:
    with QueryClient.of(house.installation.settings, "admin", timeout_seconds=0.5) as client:
        try:
            client.search("outcome:held")
        except QueryError:
            return False
    return True


@contextmanager
def busy(house: House) -> Iterator[None]:
    """Have analytics work on two questions without end: a third one waits for them."""
    asked = [f"slow{number}" for number in range(2)]
    endless = "SELECT count(*) FROM range(100000000) a, range(100000000) b WHERE hash(a.range, b.range) = 7"

    def ask(id: str) -> None:
        with QueryClient.of(house.installation.settings, "admin") as client, suppress(QueryError):
            client.sql(endless, id=id)

    with ThreadPoolExecutor(2) as pool, QueryClient.of(house.installation.settings, "admin") as client:
        futures = [pool.submit(ask, id) for id in asked]
        until(lambda: not _answers(house), 30)
        try:
            yield
        finally:
            for id in asked:
                client.stop(id)
            wait(futures)


def test_a_search_that_takes_long_is_given_up_and_asked_again(
    house: House, open_page: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dashboard.searching.running.PATIENCE_SECONDS", 0.3)
    with busy(house):
        page = open_page(house.installation, "messages", q="outcome:held")
        assert_calm(page)
        assert "Searching" in shown(page)
        assert not page.dataframe

        page.button(key="search_cancel").click().run()
        assert_calm(page)
        assert "given up" in shown(page)

    monkeypatch.setattr("dashboard.searching.running.PATIENCE_SECONDS", 20)
    page.button(key="search_again").click().run()
    assert_calm(page)
    assert page.dataframe[0].value["verdict"].tolist() == ["Held"] * 3


def test_a_search_is_kept_chosen_and_removed(shared_house: House, open_page: Open) -> None:
    page = open_page(shared_house.installation, "messages", q="outcome:held")
    page.text_input(key="saved_name_search").set_value("Held mail").run()
    page.button(key="saved_save_search").click().run()
    assert_calm(page)

    other = open_page(shared_house.installation, "messages", q="outcome:bounced")
    assert other.button(key="saved_use_search_0").label == "Held mail"
    other.button(key="saved_use_search_0").click().run()
    assert other.text_input(key="q").value == "outcome:held"
    with shared_house.installation.client("dashboard") as relay:
        assert [(one.kind, one.text) for one in relay.saved_questions()] == [("search", "outcome:held")]

    other.button(key="saved_remove_search_0").click().run()
    assert_calm(other)
    with shared_house.installation.client("dashboard") as relay:
        assert relay.saved_questions() == []
