"""A whole installation for the pages: the real relay and the real analytics, a sink, traffic, one held sender."""

import signal
import smtplib
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from analytics.client import QueryClient, QueryError
from relay.account import Account
from relay.control.views import NewDecision, NewNetwork
from relay.events import Record
from relay.policy.decisions.decision import Effect
from tests.analytics.records import Story, traffic, write
from tests.builders import ROOT, Installation, until
from tests.sink import Sink

SENDER = "acme|mailfrom|web@acme.example"
HOSTILE = "![a](http://evil.example/x.png) :red[win] $5"
REASON = "5 of 9 messages in the last hour were scored as spam; 99.4 % sure the true rate is above 20 %"


@dataclass
class House:
    """An installation whose processes run."""

    installation: Installation
    sink: Sink
    analytics: "subprocess.Popen[bytes]"

    def submit(self, subject: str, sender: str = "web@acme.example") -> None:
        message = EmailMessage()
        message["From"], message["To"], message["Subject"] = sender, "ann@post.example", subject
        message.set_content("Hello")
        with smtplib.SMTP("127.0.0.1", self.installation.smtp, timeout=20) as smtp:
            smtp.send_message(message)

    def hold(self) -> str:
        """Hold the sender as the relay's own trigger would; gives the decision's id."""
        suspects = ["mw1.900007", "mw1.900008"]
        new = NewDecision(
            account="acme",
            sender=SENDER,
            effect=Effect.HOLD,
            rule="spam_rate",
            reason=REASON,
            ends_at=datetime.now(UTC) + timedelta(hours=24),
            evidence={
                "spam": 5,
                "seen": 9,
                "window_minutes": 60,
                "line": 0.2,
                "messages": suspects,
            },
            certainty=0.994,
        )
        with self.installation.client() as client:
            return client.propose(new).decision.id

    def messages_of_sender(self) -> int:
        try:
            with QueryClient.of(self.installation.settings) as client:
                return len(client.frame("sender_messages", sender=SENDER))
        except QueryError:
            return -1

    def stop_analytics(self) -> None:
        self.analytics.send_signal(signal.SIGTERM)
        self.analytics.wait(20)


def _suspects(start: datetime) -> Iterator[Record]:
    """Two messages of the sender that is held later; one got out."""
    story = Story("20261124T090000Z-9", start)
    for number in (900_007, 900_008):
        yield story.reception(number, number - 900_007, sender=SENDER, score=0.97, script="/wp-content/mail.php")
    yield story.delivery(900_007, 0, 0.4, sender=SENDER)


def _prepare(folder: Path, sink: Sink) -> Installation:
    installation = Installation(folder)
    installation.write(sink.port, model="none")
    installation.add_account(Account("acme", domains=("acme.example",)))
    start = datetime.now(UTC) - timedelta(minutes=40)
    write(installation.data / "journal", "relay-mw9-y-00000001", _suspects(start + timedelta(minutes=35)))
    write(installation.data / "journal", "relay-mw9-x-00000001", traffic(300, hours=0.5, start=start, after=500_000))
    return installation


@contextmanager
def _running(folder: Path) -> Iterator[House]:
    """Half an hour of traffic, then a sender is held and three of its mails are parked, one with a hostile subject."""
    with Sink() as sink:
        installation = _prepare(folder, sink)
        with installation.running():
            analytics = installation.start("analytics")
            built = House(installation, sink, analytics)
            try:
                with installation.client() as client:
                    client.allow("acme", NewNetwork(network="127.0.0.1/32"))
                built.hold()
                for subject in ("Special offer", "Last chance", HOSTILE):
                    built.submit(subject)
                until(lambda: built.messages_of_sender() == 5, 60)
                yield built
            finally:
                if analytics.poll() is None:
                    built.stop_analytics()


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """An installation that the test may change as it likes."""
    with _running(tmp_path) as built:
        yield built


@pytest.fixture(scope="session")
def shared_house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """The same one for many tests, which look at it or add to it: nobody is stopped, released or confirmed there."""
    with _running(tmp_path_factory.mktemp("house")) as built:
        yield built


@pytest.fixture
def empty(tmp_path: Path) -> Installation:
    """Settings, and nothing that runs."""
    installation = Installation(tmp_path)
    installation.write(1, model="none")
    return installation


@pytest.fixture
def open_page(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., AppTest]]:
    """Open a page of an installation, in this process."""
    st.cache_resource.clear()

    def open_one(installation: Installation, page: str = "now", **query: str) -> AppTest:
        monkeypatch.setenv("MAILWEIR_CONFIG", str(installation.config))
        app = AppTest.from_file(str(ROOT / "dashboard/app.py"), default_timeout=30)
        for name, value in query.items():
            app.query_params[name] = value
        if page != "now":
            app.switch_page(f"views/{page}.py")
        return app.run()

    yield open_one
    st.cache_resource.clear()  # closes the clients
