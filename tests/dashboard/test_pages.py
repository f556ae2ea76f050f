"""Every page in Streamlit's own test harness, on a real relay and a real analytics."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from streamlit.testing.v1 import AppTest

from relay.control.policies.views import PolicyOrder
from relay.policy.decisions.decision import Standing
from tests.analytics.test_cli_alarms import raise_alarm, times
from tests.builders import Installation, until
from tests.dashboard.conftest import HOSTILE, REASON, SENDER, House

PAGES = ["now", "decisions", "sender", "messages", "lab", "customers", "system"]
Open = Callable[..., AppTest]


def shown(app: AppTest) -> str:
    """All the words on the page, without the escapes of Markdown."""
    elements = [*app.markdown, *app.caption, *app.error, *app.warning, *app.header, *app.subheader, *app.metric]
    words = [f"{getattr(element, 'label', '')} {element.value}" for element in elements]
    return "\n".join(words).replace("\\", "").replace("\u2060", "").replace("\u00a0", " ")


def assert_calm(app: AppTest) -> None:
    assert not app.exception, [error.value for error in app.exception]


def test_the_pages_of_a_running_installation_tell_the_case(house: House, open_page: Open) -> None:
    """One installation for several claims: starting it takes longer than asking it."""
    with house.installation.client() as relay:
        relay.apply_policy(PolicyOrder(text="[policy]\nhold_score = 0.77\n"))

    now = open_page(house.installation)
    assert_calm(now)
    assert "Mail is flowing" in shown(now)
    assert "1 sender stopped: web@acme.example" in shown(now)
    assert REASON in shown(now)
    assert "3 parked" in shown(now).replace("*", "")

    decisions = open_page(house.installation, "decisions")
    assert_calm(decisions)
    assert {"Not spam: release 3 and teach", "Confirm & keep blocked"} <= {button.label for button in decisions.button}
    assert "99.4 %" in shown(decisions)
    assert "Suspects out before" in shown(decisions)
    assert "1 of 2" in shown(decisions)
    assert "/wp-content/mail.php" in shown(decisions)

    sender = open_page(house.installation, "sender", sender=SENDER)
    assert_calm(sender)
    assert ":orange-badge[:material/front_hand: Held]" in shown(sender)
    assert [box.value for box in sender.selectbox] == [SENDER]
    assert 5 in [len(frame.value) for frame in sender.dataframe]
    assert "sure that the rate is above 20 %" in shown(sender)
    assert "Where it stood" in shown(sender)

    with house.installation.client() as relay:
        told = relay.decision("mw1-d1").sentence.partition(" Undo: ")[0]
    alone = open_page(house.installation, "decisions", decision="mw1-d1")
    assert_calm(alone)
    assert told in shown(alone)
    assert "3 of 3 parked" in shown(alone)
    assert "evil.example" not in shown(alone)  # a sample's subject is redacted
    assert not any("Hello" in code.value for code in alone.code)  # and its text is not asked for
    system = open_page(house.installation, "system")
    assert_calm(system)
    assert "Hold line" in shown(system)
    assert "0.77" in shown(system)  # the relay's, not that of the settings file
    assert shown(system).count("Running]") >= 2
    assert "Ingest" in system.dataframe[0].value["job"].tolist()


def test_release_asks_shows_the_consequence_and_frees_the_mail(house: House, open_page: Open) -> None:
    app = open_page(house.installation)

    app.button(key="release-line-mw1-d1").click().run()
    assert_calm(app)
    assert "3 parked messages" in shown(app)
    with house.installation.client() as relay:
        assert relay.sender(SENDER).standing == Standing.HELD

    app.button(key="dialog_do").click().run()
    assert_calm(app)
    house.sink.wait_for(3, 20)
    with house.installation.client() as relay:
        assert relay.sender(SENDER).standing == Standing.OK
    assert "Nothing needs you" in shown(app)


def test_confirm_takes_the_case_off_the_list_and_keeps_the_sender_held(house: House, open_page: Open) -> None:
    app = open_page(house.installation, "decisions")

    app.button(key="confirm-list-mw1-d1").click().run()
    app.button(key="dialog_do").click().run()

    assert_calm(app)
    assert "Confirmed" in shown(app)
    assert "Nothing needs you" in shown(open_page(house.installation))
    with house.installation.client() as relay:
        assert relay.sender(SENDER).standing == Standing.HELD


def test_the_text_of_a_sample_is_shown_when_asked_for_and_audited_once(shared_house: House, open_page: Open) -> None:
    app = open_page(shared_house.installation, "decisions", decision="mw1-d1")

    app.toggle[0].set_value(True).run()
    app.run()

    assert_calm(app)
    assert any("Hello" in code.value for code in app.code)
    with shared_house.installation.client() as relay:
        looked = [row for row in relay.audit() if row.principal == "dashboard" and "show" in row.command]
    assert len(looked) == 1


def test_an_alarm_stands_on_now_until_somebody_answers_it(house: House, open_page: Open) -> None:
    raise_alarm(house.installation, datetime.now(UTC) - timedelta(minutes=5), "rollups", "disk")
    until(lambda: times(house.installation, "rollups") == 1, 30)
    app = open_page(house.installation)
    assert "A disk is nearly full" in shown(app)

    next(button for button in app.button if button.label == "Answer").click().run()
    app.text_input(key="alarm_why").set_value("more is ordered").run()
    app.button(key="dialog_do").click().run()

    assert_calm(app)
    assert "A disk is nearly full · acknowledged by dashboard: more is ordered" in shown(app)
    assert not any(button.label == "Answer" for button in app.button)


def test_filters_of_the_decisions_stand_in_the_address(shared_house: House, open_page: Open) -> None:
    found = open_page(shared_house.installation, "decisions", of_account="acme", sure="at least 99 %")
    missed = open_page(shared_house.installation, "decisions", sure="at least 99.9 %")

    assert REASON in shown(found)
    assert REASON not in shown(missed)
    assert "None fits these filters" in shown(missed)


def test_stale_numbers_stay_and_are_named_when_analytics_stops(house: House, open_page: Open) -> None:
    app = open_page(house.installation)
    before = [metric.value for metric in app.metric]
    assert "–" not in before

    house.stop_analytics()
    _wait_for_error(app)

    assert_calm(app)
    assert "Analytics does not answer" in shown(app)
    assert "Mail still flows" in shown(app)
    assert before == [metric.value for metric in app.metric]


@pytest.mark.parametrize("page", PAGES)
def test_nothing_running_is_said_in_words_and_never_as_green(page: str, empty: Installation, open_page: Open) -> None:
    app = open_page(empty, page)

    assert_calm(app)
    assert "does not answer" in shown(app)
    assert "mailweir up" in shown(app)
    for claim in ("Mail is flowing", "Nobody is stopped", "Nothing needs you", "No open decisions"):
        assert claim not in shown(app)


def test_wrong_settings_are_explained_on_the_page(empty: Installation, open_page: Open) -> None:
    empty.config.write_text("[dashboard]\nlisten = 3\ncolour = 'red'\n")

    app = open_page(empty)

    assert_calm(app)
    assert "settings cannot be read" in shown(app)
    assert "colour" in app.code[0].value


@pytest.mark.parametrize("page", ["sender", "decisions"])
def test_a_link_to_nothing_says_so(page: str, empty: Installation, open_page: Open) -> None:
    app = open_page(empty, page, sender="no|such|one", decision="mw1-d999")

    assert_calm(app)


def test_a_hostile_subject_is_shown_as_text(shared_house: House, open_page: Open) -> None:
    app = open_page(shared_house.installation, "decisions")

    assert_calm(app)
    subjects = [subject for frame in app.dataframe if "subject" in frame.value for subject in frame.value["subject"]]
    assert HOSTILE in subjects
    assert not any("](http" in element.value for element in app.markdown)


def _wait_for_error(app: AppTest) -> None:
    """Run the page until the answers it holds have grown old."""
    for _ in range(200):
        app.run()
        if app.error:
            return
    raise AssertionError("the page never noticed")
