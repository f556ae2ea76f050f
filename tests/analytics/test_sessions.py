"""Persons ask questions with the session the relay gave them, each within his part of the tree."""

from collections.abc import Callable
from pathlib import Path

import pytest

from analytics.client import QueryClient, QueryError
from analytics.serving.sessions import CACHED_SECONDS, KEPT_SECONDS, Sessions
from relay.account import Account
from relay.control.client import ControlClient
from relay.tree import Principal, Role, Scope
from relay.users.views import NewUser, SignIn, UserChange
from tests.analytics.test_service import served
from tests.builders import Installation
from tests.sink import Sink

PASSWORD = "correct horse battery"


class Hands:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def relay_as(url: str) -> Callable[[str], ControlClient]:
    return lambda token: ControlClient(url, token)


def test_a_session_is_known_while_the_relay_is_away_and_ends_when_it_says_so(tmp_path: Path) -> None:
    installation, hands = Installation(tmp_path), Hands()
    with Sink() as sink:
        installation.write(sink.port, model="none")
        installation.add_account(Account("acme"))
        url = f"http://{installation.settings.control.listen}"
        sessions = Sessions(relay_as(url), hands)
        with installation.running(), installation.client() as admin, installation.client("dashboard") as dashboard:
            admin.add_user(NewUser(name="dana", role=Role.ABUSE, account="acme", password=PASSWORD))
            token = dashboard.sign_in(SignIn(name="dana", password=PASSWORD)).token
            dana = Principal("dana", Role.ABUSE, Scope(account="acme"))

            assert sessions.principal_of(token) == dana
            assert sessions.principal_of("somebody-else") is None
            admin.change_user("dana", UserChange(is_disabled=True))
            assert sessions.principal_of(token) == dana  # asked again only after a while
            hands.now += CACHED_SECONDS + 1
            assert sessions.principal_of(token) is None
            admin.change_user("dana", UserChange(is_disabled=False))
            token = dashboard.sign_in(SignIn(name="dana", password=PASSWORD)).token
            assert sessions.principal_of(token) == dana
        hands.now += KEPT_SECONDS - 1
        assert sessions.principal_of(token) == dana
        hands.now += 2
        assert sessions.principal_of(token) is None


def test_analytics_answers_a_person_within_his_part_of_the_tree(tmp_path: Path) -> None:
    installation = Installation(tmp_path)
    with Sink() as sink:
        installation.write(sink.port, model="none")
        installation.add_account(Account("acme"))
        with installation.running(), installation.client() as admin, installation.client("dashboard") as dashboard:
            admin.add_user(NewUser(name="dana", role=Role.VIEWER, account="acme", password=PASSWORD))
            token = dashboard.sign_in(SignIn(name="dana", password=PASSWORD)).token
            with served(installation) as service, QueryClient(service.url, token) as dana:
                assert dana.table("tiles").num_rows == 1
                for question in (lambda: dana.table("jobs"), lambda: dana.sql("SELECT 1")):
                    with pytest.raises(QueryError) as refused:
                        question()
                    assert refused.value.status == 403
            with served(installation) as service, QueryClient(service.url, "nobody") as nobody:
                with pytest.raises(QueryError) as refused:
                    nobody.table("tiles")
                assert refused.value.status == 401
