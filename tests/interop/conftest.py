"""A relay with a sink behind it and a mail server in front of it: one set per file and kind of server."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.interop.debian_exim import debian_exim
from tests.interop.postfix import postfix
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
