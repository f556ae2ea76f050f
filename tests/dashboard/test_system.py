"""The System page: the audit log and its chain, the doctor, and what only operators are offered."""

from collections.abc import Callable

from streamlit.testing.v1 import AppTest

from tests.builders import Installation
from tests.dashboard.conftest import House
from tests.dashboard.test_pages import assert_calm, shown

Open = Callable[..., AppTest]


def test_the_log_is_listed_and_its_chain_is_found_whole(shared_house: House, open_page: Open) -> None:
    app = open_page(shared_house.installation, "system")
    assert_calm(app)
    log = next(frame.value for frame in app.dataframe if "did" in frame.value)
    assert "acme" in log["account"].tolist()
    assert "Run a job now" not in {button.label for button in app.button}  # the dashboard itself is of the abuse desk

    app.button(key="audit_verify").click().run()

    assert_calm(app)
    assert "Whole" in shown(app)


def test_the_doctor_says_what_is_wrong_and_the_fix(empty: Installation, open_page: Open) -> None:
    app = open_page(empty, "system")

    app.button(key="doctor").click().run()

    assert_calm(app)
    assert "relay: no answer" in shown(app)
    assert "mailweir up" in shown(app)
