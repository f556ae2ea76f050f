"""The pages about delivery in Streamlit's own test harness, on a real relay and a real analytics."""

from collections.abc import Callable

import pytest
from streamlit.testing.v1 import AppTest

from relay.control.egress.calls import EgressCalls
from relay.control.egress.views import NewSource, PoolOrder
from relay.control.shaping.views import OverrideOrder
from relay.control.suppression.suppressed import Reason
from relay.control.suppression.views import SuppressionOrder, SuppressionRow
from tests.builders import Installation
from tests.dashboard.conftest import House
from tests.dashboard.test_pages import assert_calm, shown

PAGES = ["destinations", "ips", "bounces", "complaints"]
Open = Callable[..., AppTest]


def frames(app: AppTest) -> str:
    return "\n".join(frame.value.to_string() for frame in app.dataframe)


def test_a_destination_shows_what_is_in_force_and_who_set_it(shared_house: House, open_page: Open) -> None:
    with shared_house.installation.client() as relay:
        relay.override_destination("post.example", OverrideOrder(connections=1, reason="agreed", minutes=60))

    every = open_page(shared_house.installation, "destinations", window="24h")
    assert_calm(every)
    assert "1 slowed: post.example" in shown(every)
    assert "1 connection" in frames(every)

    one = open_page(shared_house.installation, "destinations", window="24h", destination="post.example")
    assert_calm(one)
    assert "Slowed" in shown(one)
    assert "agreed" in shown(one)
    assert "no such user" in frames(one)
    assert not [button for button in one.button if button.label == "Stop"]  # the dashboard's own role is abuse
    assert "mailweir dest suspend" in shown(one)

    quiet = open_page(shared_house.installation, "destinations", window="24h", destination="yahoo")
    assert_calm(quiet)
    assert "messages per connection" in frames(quiet)  # nothing went there, and its limits are shown


def test_an_address_shows_its_warm_up_and_where_it_can_be_taken_out(shared_house: House, open_page: Open) -> None:
    with shared_house.installation.client() as relay:
        egress = EgressCalls(relay)
        egress.add_source(NewSource(name="out1", address="127.0.0.1", is_warming=True))
        egress.set_pool("good", PoolOrder(members={"out1": 2}))

    every = open_page(shared_house.installation, "ips")
    assert_calm(every)
    assert "Warming up" in frames(every)
    assert "out1 × 2" in frames(every)
    assert "No list answers" in shown(every)

    one = open_page(shared_house.installation, "ips", source="out1")
    assert_calm(one)
    assert "nothing sent yet: as today" in frames(one)
    assert "mailweir ip quarantine out1" in shown(one)


def test_a_suppressed_recipient_is_found_with_its_reason(shared_house: House, open_page: Open) -> None:
    row = SuppressionRow(address="gone@post.example", reason=Reason.HARD_BOUNCE, evidence="550 no such user")
    with shared_house.installation.client() as relay:
        relay.suppress(SuppressionOrder(rows=[row], account="acme"))

    found = open_page(shared_house.installation, "bounces", window="24h", recipient="gone@post.example")
    assert_calm(found)
    assert "550 no such user" in frames(found)
    assert "Address does not exist" in shown(found)
    nobody = open_page(shared_house.installation, "bounces", window="24h", recipient="here@post.example")
    assert "mail may go there" in shown(nobody)


def test_the_pages_open_on_a_house_and_again_when_analytics_is_down(house: House, open_page: Open) -> None:
    for page in PAGES:
        assert_calm(open_page(house.installation, page, window="24h"))

    house.stop_analytics()

    for page in PAGES:
        down = open_page(house.installation, page, window="15m")
        assert_calm(down)
        assert "Analytics does not answer" in shown(down)


def test_every_outside_view_says_what_to_do_when_it_has_nothing(shared_house: House, open_page: Open) -> None:
    for view, command in (("DMARC", "dmarc"), ("TLS", "tlsrpt"), ("Microsoft", "snds"), ("Google", "gpt")):
        app = open_page(shared_house.installation, "complaints", view=view)

        assert_calm(app)
        assert f"mailweir ingest {command} FILE" in [block.value for block in app.code]
        assert "never came" in shown(app)


@pytest.mark.parametrize("page", PAGES)
def test_nothing_running_is_said_in_words_and_never_as_green(page: str, empty: Installation, open_page: Open) -> None:
    app = open_page(empty, page)

    assert_calm(app)
    assert "does not answer" in shown(app)
    assert "green-badge" not in shown(app).replace("green-badge[:material/check_circle: Running", "")
