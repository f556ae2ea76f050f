"""The answers to a case beside release and confirm, each through its dialog on a real relay."""

from streamlit.testing.v1 import AppTest

from dashboard.acting import Wanted
from dashboard.actions import Kind
from dashboard.actions.desk import DESK
from relay.policy.decisions.decision import Standing
from tests.dashboard.conftest import SENDER, House
from tests.dashboard.test_pages import Open, assert_calm, shown


def asked(app: AppTest, kind: Kind, target: str, more: tuple[str, ...] = ()) -> AppTest:
    """The page with the dialog of an action open."""
    app.session_state[f"open_{DESK.name}"] = Wanted(kind, target, SENDER, more)
    app.run()
    assert_calm(app)
    return app


def test_a_case_is_limited_asked_about_confirmed_in_bulk_and_released_in_bulk(house: House, open_page: Open) -> None:
    app = open_page(house.installation, "decisions")

    asked(app, Kind.ASK, "mw1-d1")
    assert any("Do you know these messages" in code.value for code in app.code)
    app.button(key="dialog_do").click().run()
    asked(app, Kind.CONFIRM_MANY, "", ("mw1-d1", "mw1-d99"))
    app.button(key="dialog_do").click().run()
    (told,) = [toast.value.replace("\\", "") for toast in app.toast]
    assert "Confirmed: 1 sender stays" in told  # one that is not there keeps the other from nothing, and is named
    assert "`mw1-d99`" in told
    with house.installation.client() as relay:
        assert relay.decision("mw1-d1").confirmed_by == "dashboard"
        assert [note.author for note in relay.notes(SENDER)] == ["dashboard"]
        assert relay.sender(SENDER).standing == Standing.HELD

    asked(app, Kind.THROTTLE, "mw1-d1")
    assert "not called harmless" in shown(app)
    app.button(key="dialog_do").click().run()
    house.sink.wait_for(3, 20)
    with house.installation.client() as relay:
        assert relay.sender(SENDER).standing == Standing.THROTTLED
        throttle = relay.decisions(sender=SENDER, open_only=True)[0].id

    asked(app, Kind.RELEASE_MANY, "", (throttle,))
    app.button(key="dialog_do").click().run()
    asked(app, Kind.SUSPEND, SENDER)
    app.text_input(key="suspend_reason").set_value("hacked").run()
    assert "this needs operator" in "".join(error.value for error in app.error).replace("\\", "")
    with house.installation.client() as relay:
        assert relay.sender(SENDER).standing == Standing.OK
