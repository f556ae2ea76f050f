"""What is Postfix's own: the blocks of docs/integrations/postfix.md with Debian's master.cf."""

import pytest

from tests.builders import until
from tests.interop.conftest import Start
from tests.interop.postfix import Postfix, postfix
from tests.interop.servers import submit
from tests.interop.smarthost import Smarthost

_AUTHOR = "author@customer.example"
_MAIL = b"From: author@customer.example\nSubject: hello\n\nHello\n"


@pytest.fixture(scope="module")
def kind() -> Start:
    return postfix


def test_the_relays_certificate_is_verified(server: Postfix, relay: Smarthost) -> None:
    server.send(_MAIL, _AUTHOR, "tls@dest.example")

    relay.arrival("tls@dest.example", explain=server.log)
    assert server.postconf("smtp_tls_security_level") == "secure"
    until(lambda: "Verified TLS connection established to localhost" in server.log(), 30, server.log)


_WRITTEN = "by web1.hosting.example (Postfix"
_LOGIN = (
    f"Received: from laptop (unknown [192.0.2.7]) (Authenticated sender: bob@site.example) {_WRITTEN}) with ESMTPA id 4"
)


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("x-authuser: ceo@site.example", "IGNORE"),
        ("X-AuthUser \t: ceo@site.example", "IGNORE"),
        (
            f'Received: from a (b) {_WRITTEN}) with ESMTP id 4 for <"(Authenticated sender: ceo) {_WRITTEN})"@a.b>',
            "",
        ),
        (_LOGIN, "PREPEND X-AuthUser: bob@site.example"),
        (f"Received: {_WRITTEN}, from userid 33) id 4", "PREPEND X-AuthUser: uid33@web1.hosting.example"),
        ("Received: by web1xhosting.example (Postfix, from userid 33) id 4", ""),
        ("X-AuthUser-Agent: a", ""),
    ],
)
def test_the_identity_table_answers(server: Postfix, line: str, answer: str) -> None:
    assert answer == server.lookup("mailweir_identity", line)


def test_without_the_identity_table_the_received_line_names_the_sender(relay: Smarthost) -> None:
    with postfix(relay.port, relay.certificate, {"header_checks = ": "# header_checks = "}) as server:
        server.send(_MAIL, _AUTHOR, "uid@dest.example")
        submit(server, "bob@site.example", _MAIL, _AUTHOR, "received@dest.example")

        relay.arrival("uid@dest.example", explain=server.log)
        relay.arrival("received@dest.example", explain=server.log)
    assert f"web1|received|{server.unix_sender}" == relay.record("uid@dest.example")["sender"]
    assert relay.record("received@dest.example")["sender"] == "web1|received|bob@site.example"


def test_a_password_changed_at_the_relay_loses_nothing(relay: Smarthost) -> None:
    with postfix(relay.port, relay.certificate) as server:
        server.rewrite("mailweir_login", {"secret": "of yesterday"})
        server.send(_MAIL, _AUTHOR, "rotated@dest.example")
        until(lambda: "535 5.7.8" in server.queue(), 20, server.log)

        server.rewrite("mailweir_login", {"of yesterday": "secret"})
        server.flush_until(lambda: relay.arrivals("rotated@dest.example"))

        assert len(relay.arrivals("rotated@dest.example")) == 1


def test_a_relay_of_another_name_gets_neither_password_nor_mail(relay: Smarthost) -> None:
    # the certificate is for localhost
    with postfix(relay.port, relay.certificate, {"[localhost]": "[127.0.0.1]"}) as server:
        server.send(_MAIL, _AUTHOR, "elsewhere@dest.example")
        until(lambda: "certificate not" in server.queue(), 20, server.log)

        assert "elsewhere@dest.example" in server.queue()
        assert not relay.arrivals("elsewhere@dest.example")
