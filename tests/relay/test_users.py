"""Users and sessions, through the control API as the dashboard and an admin use it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from relay.account import Account
from relay.control.client import ControlClient, ControlError
from relay.control.views import HoldOrder
from relay.tree import Role
from relay.users.views import NewUser, SignIn, TokenOrder, UserChange
from tests.builders import Installation
from tests.sink import Sink

PASSWORD = "correct horse battery"
BOB = "acme|mailfrom|bob@acme.example"


@pytest.fixture(scope="module")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with Sink() as sink:
        installation = Installation(tmp_path_factory.mktemp("relay"))
        installation.write(sink.port, model="none")
        installation.add_account(Account("acme", reseller="north", domains=("acme.example",)), login="web")
        installation.add_account(Account("other", domains=("other.example",)), login="web2")
        with installation.running():
            yield installation


@pytest.fixture
def admin(relay: Installation) -> Iterator[ControlClient]:
    """The admin; users that a test has made are gone after it."""
    with ControlClient.of(relay.settings, "admin") as client:
        yield client
        for known in client.users():
            client.remove_user(known.name)


@pytest.fixture
def dashboard(relay: Installation) -> Iterator[ControlClient]:
    with ControlClient.of(relay.settings, "dashboard") as client:
        yield client


def signed_in(relay: Installation, dashboard: ControlClient, name: str) -> ControlClient:
    token = dashboard.sign_in(SignIn(name=name, password=PASSWORD, client="192.0.2.1")).token
    return ControlClient(f"http://{relay.settings.control.listen}", token)


def user(name: str = "dana", role: Role = Role.ABUSE, **more: str) -> NewUser:
    return NewUser(name=name, role=role, password=PASSWORD, **more)


def test_nobody_has_to_sign_in_before_there_is_a_user(admin: ControlClient, dashboard: ControlClient) -> None:
    before = dashboard.must_sign_in()
    admin.add_user(user())

    assert (before, dashboard.must_sign_in()) == (False, True)


def test_a_user_acts_under_his_own_name_and_role(
    relay: Installation, admin: ControlClient, dashboard: ControlClient
) -> None:
    admin.add_user(user())

    with signed_in(relay, dashboard, "dana") as dana:
        assert (dana.whoami().name, dana.whoami().role) == ("dana", Role.ABUSE)
        assert dana.hold_sender(BOB, HoldOrder(reason="phishing")).decision.author == "dana"
        with pytest.raises(ControlError) as refused:
            dana.suspend_account("acme")
    assert refused.value.status == 403
    assert next(entry.principal for entry in admin.audit(limit=3)) == "dana"


@pytest.mark.parametrize("part", [{"account": "acme"}, {"reseller": "north"}])
def test_a_user_of_a_part_of_the_tree_sees_no_other(
    relay: Installation, admin: ControlClient, dashboard: ControlClient, part: dict[str, str]
) -> None:
    admin.add_user(user(**part))

    with signed_in(relay, dashboard, "dana") as dana:
        assert [account.name for account in dana.accounts()] == ["acme"]
        with pytest.raises(ControlError) as refused:
            dana.hold_sender("other|mailfrom|eve@other.example", HoldOrder(reason="no"))
    assert refused.value.status == 404


@pytest.mark.parametrize(("name", "password"), [("dana", "wrong password"), ("nobody", PASSWORD)])
def test_a_wrong_name_and_a_wrong_password_are_refused_in_the_same_words(
    admin: ControlClient, dashboard: ControlClient, name: str, password: str
) -> None:
    admin.add_user(user())

    with pytest.raises(ControlError, match="this name and password do not fit") as refused:
        dashboard.sign_in(SignIn(name=name, password=password, client="192.0.2.1"))
    assert refused.value.status == 401


def test_guessing_is_stopped_and_the_right_password_does_not_help_then(
    admin: ControlClient, dashboard: ControlClient
) -> None:
    admin.add_user(user())
    for _ in range(10):
        with pytest.raises(ControlError):
            dashboard.sign_in(SignIn(name="dana", password="guess", client="198.51.100.1"))

    with pytest.raises(ControlError, match="too many failed sign-ins"):
        dashboard.sign_in(SignIn(name="dana", password=PASSWORD, client="198.51.100.1"))
    assert dashboard.sign_in(SignIn(name="dana", password=PASSWORD, client="198.51.100.2")).token


@pytest.mark.parametrize(("own", "next_door"), [("203.0.113.7", "203.0.113.7"), ("2001:db8:0:7::1", "2001:db8:0:7::2")])
def test_who_has_signed_in_may_not_guess_the_passwords_of_others(
    admin: ControlClient, dashboard: ControlClient, own: str, next_door: str
) -> None:
    admin.add_user(user(role=Role.VIEWER))
    admin.add_user(user("boss", Role.ADMIN))
    assert dashboard.sign_in(SignIn(name="dana", password=PASSWORD, client=own)).token
    for _ in range(10):
        with pytest.raises(ControlError, match="do not fit"):
            dashboard.sign_in(SignIn(name="boss", password="guess", client=next_door))

    with pytest.raises(ControlError, match="too many failed sign-ins"):
        dashboard.sign_in(SignIn(name="boss", password=PASSWORD, client=own))
    assert dashboard.sign_in(SignIn(name="dana", password=PASSWORD, client=own)).token


def test_sign_out_disabling_and_a_new_password_end_sessions(
    relay: Installation, admin: ControlClient, dashboard: ControlClient
) -> None:
    admin.add_user(user())
    sessions = [signed_in(relay, dashboard, "dana") for _ in range(2)]

    sessions[0].sign_out()
    assert _is_out(sessions[0])
    assert not _is_out(sessions[1])
    admin.change_user("dana", UserChange(new_password=True))
    assert _is_out(sessions[1])

    admin.change_user("dana", UserChange(password=PASSWORD))
    third = signed_in(relay, dashboard, "dana")
    admin.change_user("dana", UserChange(is_disabled=True))
    assert _is_out(third)
    for session in (*sessions, third):
        session.close()


def test_a_changed_role_counts_at_once(relay: Installation, admin: ControlClient, dashboard: ControlClient) -> None:
    admin.add_user(user(role=Role.VIEWER))

    with signed_in(relay, dashboard, "dana") as dana:
        with pytest.raises(ControlError):
            dana.hold_sender(BOB, HoldOrder(reason="no"))
        undo = admin.change_user("dana", UserChange(role=Role.ABUSE)).undo
        assert dana.hold_sender(BOB, HoldOrder(reason="yes")).decision.author == "dana"
    assert undo == "mailweir user set dana --role viewer"


def test_nobody_locks_himself_out(relay: Installation, admin: ControlClient, dashboard: ControlClient) -> None:
    admin.add_user(user("dana", Role.ADMIN))
    admin.add_user(user("eve", Role.ADMIN))

    with signed_in(relay, dashboard, "dana") as dana:
        for change in (UserChange(is_disabled=True), UserChange(role=Role.VIEWER), UserChange(account="acme")):
            with pytest.raises(ControlError, match="yourself"):
                dana.change_user("dana", change)
        with pytest.raises(ControlError, match="yourself"):
            dana.remove_user("dana")
        assert dana.change_user("dana", UserChange(new_password=True)).password  # which is no way out
        assert admin.change_user("dana", UserChange(is_disabled=True)).is_disabled


def test_nobody_but_the_dashboard_signs_people_in(
    relay: Installation, admin: ControlClient, dashboard: ControlClient
) -> None:
    admin.add_user(user(role=Role.ADMIN))

    with signed_in(relay, dashboard, "dana") as dana, pytest.raises(ControlError) as refused:
        dana.sign_in(SignIn(name="dana", password=PASSWORD))
    assert refused.value.status == 403


def test_without_oidc_nobody_comes_in_without_a_password(admin: ControlClient, dashboard: ControlClient) -> None:
    admin.add_user(NewUser(name="olga", role=Role.ABUSE, by_provider=True))

    for order in (SignIn(name="olga", by_provider=True), SignIn(name="olga", password="")):
        with pytest.raises(ControlError):
            dashboard.sign_in(order)


def test_an_admin_of_a_reseller_makes_users_of_his_part_only(
    relay: Installation, admin: ControlClient, dashboard: ControlClient
) -> None:
    admin.add_user(user(role=Role.ADMIN, reseller="north"))

    with signed_in(relay, dashboard, "dana") as dana:
        assert dana.add_user(user("erik", account="acme")).account == "acme"
        for wide in (user("fred"), user("fred", account="other")):
            with pytest.raises(ControlError):
                dana.add_user(wide)
        assert [known.name for known in dana.users()] == ["dana", "erik"]
        with pytest.raises(ControlError):
            dana.change_user("dana", UserChange(reseller=""))


@pytest.mark.parametrize("name", ["relay", "dashboard", "", "a b"])
def test_names_of_the_relays_own_parts_are_nobodys(admin: ControlClient, name: str) -> None:
    with pytest.raises(ControlError) as refused:
        admin.add_user(user(name))
    assert refused.value.status == 422


def test_sessions_survive_a_restart(tmp_path: Path) -> None:
    installation = Installation(tmp_path)
    with Sink() as sink:
        installation.write(sink.port, model="none")
        with installation.running():
            settings = installation.settings
            with ControlClient.of(settings, "admin") as admin, ControlClient.of(settings, "dashboard") as dashboard:
                admin.add_user(user())
                token = dashboard.sign_in(SignIn(name="dana", password=PASSWORD)).token
        with installation.running(), ControlClient(f"http://{settings.control.listen}", token) as dana:
            assert dana.whoami().name == "dana"


def _is_out(client: ControlClient) -> bool:
    try:
        client.whoami()
    except ControlError as error:
        return error.status == 401
    return False


def test_a_token_acts_as_its_user_until_the_user_is_disabled(relay: Installation, admin: ControlClient) -> None:
    admin.add_user(NewUser(name="panel", role=Role.VIEWER, account="acme", by_provider=True))

    made = admin.make_token("panel", TokenOrder(seconds=3600))

    with ControlClient(f"http://{relay.settings.control.listen}", made.token) as panel:
        assert (panel.whoami().name, panel.whoami().account) == ("panel", "acme")
        assert [account.name for account in panel.accounts()] == ["acme"]
        with pytest.raises(ControlError) as refused:
            panel.hold_sender(BOB, HoldOrder(reason="x"))
        assert refused.value.status == 403
        admin.change_user("panel", UserChange(is_disabled=True))
        with pytest.raises(ControlError) as over:
            panel.whoami()
    assert over.value.status == 401
    assert admin.audit(limit=3)[1].principal == "admin"


def test_a_program_makes_nobody_sign_in(admin: ControlClient, dashboard: ControlClient) -> None:
    admin.add_user(NewUser(name="panel", role=Role.VIEWER, account="acme", by_provider=True))

    assert not dashboard.must_sign_in()


@pytest.mark.parametrize("seconds", [0, -1, 3651 * 86_400])
def test_a_token_has_an_end(admin: ControlClient, seconds: float) -> None:
    admin.add_user(NewUser(name="panel", role=Role.VIEWER, by_provider=True))

    with pytest.raises(ControlError) as refused:
        admin.make_token("panel", TokenOrder(seconds=seconds))

    assert refused.value.status == 422
