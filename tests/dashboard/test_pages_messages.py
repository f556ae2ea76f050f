"""The page Messages on a real relay and a real analytics: query, fault, builder, one message, its actions."""

from collections.abc import Callable

from streamlit.testing.v1 import AppTest

from analytics.search.fields import FIELDS
from analytics.search.parser import parse
from dashboard.data import now
from dashboard.searching.box import EXAMPLES, written
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
