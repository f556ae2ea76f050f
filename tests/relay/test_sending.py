"""The Python client of the HTTP door, against a real relay."""

from collections.abc import Iterator

import pytest

from relay.account import Account
from relay.front.compose import File, Letter
from relay.front.web.answers import Fate
from relay.sending.client import MailClient, SendError, SendLater, Unanswered
from tests.builders import Installation, free_port
from tests.sink import Sink


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Installation, Sink]]:
    with Sink() as sink:
        installation = Installation(tmp_path_factory.mktemp("sending"))
        installation.write(sink.port, "[limits]\nrcpts_per_hour = 5\n", model="none")
        installation.add_account(Account("acme"), "shop")
        with installation.running():
            yield installation, sink


@pytest.fixture(scope="module")
def mail(house: tuple[Installation, Sink]) -> Iterator[MailClient]:
    with MailClient(f"http://127.0.0.1:{house[0].web}", "shop", "secret") as client:
        yield client


def test_a_letter_is_sent_and_its_answer_is_typed(house: tuple[Installation, Sink], mail: MailClient) -> None:
    letter = Letter(
        from_="Shop <a@acme.example>",
        to=["x@d.example", "broken"],
        subject="Grüße",
        text="hello",
        attachments=[File(name="a.txt", content="aGk=")],
    )

    sent = mail.send(letter)

    house[1].wait_until(lambda: "x@d.example" in house[1].addresses())
    assert sent.answer.status is Fate.QUEUED
    assert [(one.address, one.status) for one in sent.answer.recipients] == [
        ("x@d.example", Fate.QUEUED),
        ("broken", Fate.REFUSED),
    ]
    assert (sent.limit, sent.remaining, sent.is_repeated) == (5, 4, False)


def test_the_same_key_sends_once(house: tuple[Installation, Sink], mail: MailClient) -> None:
    content = b"From: b@acme.example\r\nSubject: once\r\n\r\nx\r\n"

    first, second = (mail.send_message(content, "b@acme.example", ["once@d.example"], key="k1") for _ in range(2))

    assert (first.is_repeated, second.is_repeated) == (False, True)
    assert first.answer.id == second.answer.id
    house[1].wait_until(lambda: "once@d.example" in house[1].addresses())
    assert house[1].addresses().count("once@d.example") == 1


def test_what_is_refused_for_good_and_for_now_are_told_apart(
    house: tuple[Installation, Sink], mail: MailClient
) -> None:
    with pytest.raises(SendError, match=r"553 5\.1\.3") as for_good:
        mail.send(Letter(from_="a@acme.example", to="broken", text="x"))
    with (
        MailClient(f"http://127.0.0.1:{house[0].web}", "shop", "wrong") as stranger,
        pytest.raises(SendError) as unknown,
    ):
        stranger.send(Letter(from_="a@acme.example", to="x@d.example", text="x"))
    with MailClient(f"http://127.0.0.1:{free_port()}", "shop", "x") as nobody, pytest.raises(Unanswered):
        nobody.send(Letter(from_="a@acme.example", to="x@d.example", text="x"))
    with pytest.raises(SendLater) as later:
        mail.send(Letter(from_="c@acme.example", to=[f"l{n}@d.example" for n in range(9)], text="x"))

    assert not isinstance(for_good.value, SendLater)
    assert (for_good.value.status, for_good.value.code, for_good.value.recipients[0].address) == (422, 553, "broken")
    assert (unknown.value.status, unknown.value.code) == (401, 535)
    assert later.value.status == 429
    assert later.value.retry_seconds > 0
