"""A relay with a sink behind it and a mail server in front of it: one set per file and kind of server."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.builders import free_port
from tests.interop import mx_exim, mx_postfix
from tests.interop.debian_exim import debian_exim
from tests.interop.exim import Exim
from tests.interop.hops import Hops, Mailbox, hops
from tests.interop.opendkim import opendkim
from tests.interop.postfix import Postfix, postfix
from tests.interop.servers import MailServer
from tests.interop.smarthost import Smarthost, smarthost

Start = Callable[[int, Path], AbstractContextManager[MailServer]]


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(debian_exim, id="exim"),
        pytest.param(postfix, id="postfix"),
    ],
)
def kind(request: pytest.FixtureRequest) -> Start:
    """How to start the server; a file about one of them has a fixture of this name of its own."""
    start: Start = request.param
    return start


@pytest.fixture(scope="module")
def relay(kind: Start, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Smarthost]:
    with smarthost(tmp_path_factory.mktemp("relay")) as running:
        yield running


@pytest.fixture(scope="module")
def server(kind: Start, relay: Smarthost) -> Iterator[MailServer]:
    with kind(relay.port, relay.certificate) as running:
        yield running


@pytest.fixture(scope="session")
def direct(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hops]:
    """A relay that delivers by MX."""
    with hops(tmp_path_factory.mktemp("direct")) as running:
        yield running


@pytest.fixture(scope="session")
def at_postfix(direct: Hops) -> Iterator[tuple[Postfix, Mailbox]]:
    """A Postfix to which the MX of test domains lead, and what it has taken."""
    around = mx_postfix.Around(direct.outside.port, direct.installation.inbox, direct.policy.port, free_port())
    keys = {"mw1._domainkey.relay.example": direct.dkim_record()}
    with (
        opendkim(direct.folder / "opendkim", around.milter, keys),
        mx_postfix.mx_postfix(direct.mx_port, around, direct.certificates()) as server,
    ):
        yield server, Mailbox(mx_postfix.mail_folder(server), "X-Original-To")


@pytest.fixture(scope="session")
def at_exim(direct: Hops) -> Iterator[tuple[Exim, Mailbox]]:
    with mx_exim.mx_exim(direct.mx_port, direct.outside.port) as server:
        yield server, Mailbox(mx_exim.mail_folder(server), "Envelope-To")
