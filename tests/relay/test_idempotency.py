"""Idempotency-Key: one key, one message, whoever asks how often, and whatever dies in between."""

import asyncio
import re
import socket
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import httpx2
import pytest

from relay.account import Account
from relay.reply import Reply
from relay.spool import idempotency
from relay.spool.idempotency import Answered
from tests.builders import Installation
from tests.sink import Sink
from tests.weblistener import BEARER, LETTER, OTHER_BEARER, Listener, run

KEY = {"Idempotency-Key": "order-17"}
DAY = 86_400.0


def test_the_same_request_again_is_answered_and_not_sent(tmp_path: Path) -> None:
    async def story(listener: Listener) -> None:
        async with listener.client() as client:
            letter = LETTER | {"cc": "broken"}
            first, second = [await client.post("/v1/messages", json=letter, headers=KEY) for _ in range(2)]

        assert (first.status_code, second.status_code) == (202, 202)
        assert first.content == second.content
        assert "Idempotency-Replayed" not in first.headers
        assert second.headers["Idempotency-Replayed"] == "true"
        assert len(listener.received) == 1

    run(tmp_path, story)


def test_another_request_under_the_same_key_is_a_conflict(tmp_path: Path) -> None:
    raw = {"Content-Type": "message/rfc822", "X-Mailweir-From": "a@b.example", **KEY}

    async def story(listener: Listener) -> None:
        async with listener.client() as client:
            await client.post("/v1/messages", json=LETTER, headers=KEY)
            other = await client.post("/v1/messages", json=LETTER | {"subject": "no"}, headers=KEY)
            to = [
                await client.post(
                    "/v1/messages", content=b"\r\nx\r\n", headers=raw | {"X-Mailweir-To": to, "Idempotency-Key": "2"}
                )
                for to in ("x@d.example", "y@d.example")
            ]
            without = await client.post("/v1/messages", json=LETTER)
            of_another = await client.post("/v1/messages", json=LETTER, headers=KEY | OTHER_BEARER)

        assert (other.status_code, other.json()["enhanced"]) == (409, "5.5.4")
        assert [answer.status_code for answer in to] == [202, 409]
        assert (without.status_code, of_another.status_code) == (202, 202)
        assert "Idempotency-Replayed" not in of_another.headers
        assert len(listener.received) == 4

    run(tmp_path, story)


def test_who_comes_meanwhile_waits_for_the_first(tmp_path: Path) -> None:
    async def story(listener: Listener) -> None:
        listener.gate.clear()
        async with listener.client() as client:
            twins = [asyncio.create_task(client.post("/v1/messages", json=LETTER, headers=KEY)) for _ in range(8)]
            await listener.arrived.wait()
            other = await client.post("/v1/messages", json=LETTER | {"subject": "no"}, headers=KEY)
            listener.gate.set()
            answers = await asyncio.gather(*twins)

        assert other.status_code == 409
        assert {answer.content for answer in answers} == {answers[0].content}
        assert sum("Idempotency-Replayed" in answer.headers for answer in answers) == 7
        assert len(listener.received) == 1

    run(tmp_path, story)


def test_a_refused_message_may_come_again_under_its_key(tmp_path: Path) -> None:
    async def story(listener: Listener) -> None:
        listener.reply = Reply(452, "4.3.1", "insufficient system storage")
        async with listener.client() as client:
            refused = await client.post("/v1/messages", json=LETTER, headers=KEY)
            listener.reply = None
            taken = await client.post("/v1/messages", json=LETTER, headers=KEY)

        assert (refused.status_code, taken.status_code) == (503, 202)
        assert "Idempotency-Replayed" not in taken.headers

    run(tmp_path, story)


def test_the_message_of_a_client_that_left_still_has_its_key(tmp_path: Path) -> None:
    async def story(listener: Listener) -> None:
        listener.gate.clear()
        async with listener.client() as client:
            impatient = asyncio.create_task(client.post("/v1/messages", json=LETTER, headers=KEY))
            await listener.arrived.wait()
            impatient.cancel()
            await asyncio.gather(impatient, return_exceptions=True)
            again = asyncio.create_task(client.post("/v1/messages", json=LETTER, headers=KEY))
            await asyncio.sleep(0)
            listener.gate.set()
            assert (await again).headers["Idempotency-Replayed"] == "true"
        assert len(listener.received) == 1

    run(tmp_path, story)


@pytest.fixture
def table() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(idempotency.SCHEMA)
        yield connection


def test_a_key_is_known_for_its_time_and_then_forgotten(table: sqlite3.Connection) -> None:
    idempotency.remember(table, [Answered("acme", f"k{n}", b"d", b"a", DAY) for n in range(6)], 0.0)

    assert idempotency.find(table, "acme", "k1", DAY - 1) == Answered("acme", "k1", b"d", b"a", DAY)
    assert idempotency.find(table, "other", "k1", DAY - 1) is None
    assert idempotency.find(table, "acme", "k1", DAY) is None
    for n in range(2):
        idempotency.remember(table, [Answered("acme", f"new{n}", b"d", b"a", 3 * DAY)], DAY)
    assert table.execute("SELECT count(*) FROM answered").fetchone() == (2,)


def test_an_expired_key_may_be_used_again(table: sqlite3.Connection) -> None:
    idempotency.remember(table, [Answered("acme", "k", b"old", b"a", DAY)], 0.0)
    idempotency.remember(table, [Answered("acme", "k", b"new", b"a", 2 * DAY)], DAY)

    found = idempotency.find(table, "acme", "k", DAY)
    assert found is not None
    assert found.digest == b"new"


# ---- the whole relay ----


@contextmanager
def installed(tmp_path: Path) -> Iterator[tuple[Installation, Sink]]:
    with Sink() as sink:
        site = Installation(tmp_path)
        site.write(sink.port, "[limits]\nrcpts_per_hour = 100000\n", model="none")
        site.add_account(Account("acme"), "srv1")
        yield site, sink


def post(site: Installation, key: str) -> httpx2.Response | None:
    """Post the letter of this key; None when the relay died meanwhile."""
    try:
        return httpx2.post(
            f"http://127.0.0.1:{site.web}/v1/messages",
            json=LETTER | {"subject": f"letter {key}"},
            headers=BEARER | {"Idempotency-Key": key},
            timeout=20,
            trust_env=False,
        )
    except httpx2.TransportError:
        return None


def ids_of(sink: Sink) -> dict[str, set[str]]:
    """Subject -> the relay's ids of the messages that had it. A mail may be delivered twice, never accepted twice."""
    found: dict[str, set[str]] = {}
    for mail in sink.messages:
        subject, queue_id = (
            re.search(rb"Subject: (.*)\r\n", mail.content),
            re.search(rb"with HTTP id (\S+);", mail.content),
        )
        assert subject is not None
        assert queue_id is not None
        found.setdefault(subject[1].decode(), set()).add(queue_id[1].decode())
    return found


def test_a_kill_between_the_message_and_its_answer_makes_no_second_one(tmp_path: Path) -> None:
    with installed(tmp_path) as (site, sink):
        with site.running() as process:
            body = b'{"from":"a@acme.example","to":"x@d.example","subject":"letter 1","text":"x"}'
            head = f"POST /v1/messages HTTP/1.1\r\nHost: x\r\nAuthorization: {BEARER['Authorization']}\r\n"
            head += f"Idempotency-Key: 1\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            with socket.create_connection(("127.0.0.1", site.web), timeout=10) as client:
                client.sendall(head.encode() + body)
                sink.wait_for(1)  # on disk and delivered; the answer is never read
                process.kill()
                process.wait()
        with site.running():
            answer = httpx2.post(
                f"http://127.0.0.1:{site.web}/v1/messages",
                content=body,
                headers=BEARER | {"Idempotency-Key": "1", "Content-Type": "application/json"},
                trust_env=False,
            )
            assert answer.headers["Idempotency-Replayed"] == "true"
            assert ids_of(sink) == {"letter 1": {answer.json()["id"]}}


def test_a_kill_under_load_leaves_one_message_for_every_key(tmp_path: Path) -> None:
    keys = [f"k{number}" for number in range(40)]
    with installed(tmp_path) as (site, sink), ThreadPoolExecutor(8) as threads:
        with site.running() as process:
            tasks = [threads.submit(post, site, key) for key in keys]
            sink.wait_for(5)
            process.kill()
            process.wait()
            before = {
                key: answer.json()["id"]
                for key, task in zip(keys, tasks, strict=True)
                if (answer := task.result()) is not None
            }
        assert len(before) < len(keys)

        with site.running():
            answers = dict(zip(keys, threads.map(lambda key: post(site, key), keys), strict=True))
            sink.wait_until(lambda: len(ids_of(sink)) == len(keys))

        after = {key: answer.json()["id"] for key, answer in answers.items() if answer is not None}
        assert after == after | before
        assert ids_of(sink) == {f"letter {key}": {queue_id} for key, queue_id in after.items()}
