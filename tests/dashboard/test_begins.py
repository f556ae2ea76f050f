"""Dialogs begin with what holds now: a role, a destination's numbers, a key that waits, a sender's own limit."""

from collections.abc import Callable

from streamlit.testing.v1 import AppTest

from relay.control.accounts.views import LimitOrder, NoLimits
from relay.control.shaping.views import OverrideOrder
from relay.domains.views import NewDomain
from relay.policy.limits.levels import Level
from relay.tree import Role
from relay.users.views import NewUser, TokenOrder
from tests.builders import Installation
from tests.dashboard.conftest import SENDER, House
from tests.dashboard.test_pages import assert_calm, shown


def _dialog() -> None:
    """One dialog of an admin, by its name and what it is about."""
    import streamlit as st

    from dashboard import data
    from dashboard.acting import Wanted
    from dashboard.actions import of_senders
    from dashboard.components import destination_orders
    from dashboard.entry.keeper import Reader
    from dashboard.setup import domains, users
    from relay.tree import Principal, Role

    st.session_state[data.READER] = Reader(Principal("adam", Role.ADMIN), st.session_state["token"])
    about = st.session_state["about"]
    match st.session_state["name"]:
        case "role":
            users._change(about)
        case "key":
            domains._rotate(about)
        case "numbers":
            destination_orders.override(Wanted("override", about))
        case "limit":
            of_senders.limit(Wanted("limit", about, about))


def _opened(installation: Installation, name: str, about: str) -> AppTest:
    with installation.client() as relay:
        if "adam" not in {user.name for user in relay.users()}:
            relay.add_user(NewUser(name="adam", role=Role.ADMIN, by_provider=True))
        token = relay.make_token("adam", TokenOrder(seconds=600)).token
    app = AppTest.from_function(_dialog, default_timeout=30)
    app.session_state["token"], app.session_state["name"], app.session_state["about"] = token, name, about
    app.run()
    assert_calm(app)
    return app


def test_dialogs_begin_with_what_holds(shared_house: House, open_page: Callable[..., AppTest]) -> None:
    site = shared_house.installation
    open_page(site, "complaints")  # names the installation
    with site.client() as relay:
        relay.add_user(NewUser(name="olga", role=Role.OPERATOR, by_provider=True))
        relay.add_domain(NewDomain(account="acme", domain="begins.example"))

    role = _opened(site, "role", "olga")
    assert role.selectbox(key="user_role_new").value is Role.OPERATOR
    assert role.button(key="order_do").disabled
    role.selectbox(key="user_role_new").set_value(Role.VIEWER).run()
    assert not role.button(key="order_do").disabled

    key = _opened(site, "key", "acme begins.example")
    assert "still waits for its record" in shown(key)
    assert key.button(key="order_do").label == "Show its record"


def test_other_limits_of_a_destination_begin_with_those_in_force(
    shared_house: House, open_page: Callable[..., AppTest]
) -> None:
    open_page(shared_house.installation, "complaints")  # names the installation
    with shared_house.installation.client() as relay:
        relay.override_destination("yahoo", OverrideOrder(connections=2, messages_per_minute=30))
        try:
            numbers = _opened(shared_house.installation, "numbers", "yahoo")
        finally:  # other tests of this house count who is slowed
            relay.override_destination("yahoo", OverrideOrder(connections=None, messages_per_minute=None))

    assert [box.value for box in numbers.number_input] == [2, 30]
    numbers.number_input[0].set_value(-1).run()
    assert "connections = -1" in "".join(error.value for error in numbers.error).replace("\\", "")
    assert numbers.number_input[0].value == -1


def test_a_sender_s_own_limit_is_seen_and_given_back(shared_house: House, open_page: Callable[..., AppTest]) -> None:
    with shared_house.installation.client() as relay:
        relay.set_limits(LimitOrder(level=Level.SENDER, key=SENDER, rcpts_per_hour=4321))
        try:
            assert "4,321 recipients/h" in shown(open_page(shared_house.installation, "sender", sender=SENDER))
            app = _opened(shared_house.installation, "limit", SENDER)
            assert app.number_input(key="limit_to").value == 4321
            app.button(key="limit_back").click().run()
            assert not [one for one in relay.limits("acme") if one.level is Level.SENDER]
        finally:
            if any(one.level is Level.SENDER for one in relay.limits("acme")):
                relay.remove_limits(NoLimits(level=Level.SENDER, key=SENDER))
