"""The web listener over real sockets: who gets in, what is answered, and that one client never harms another."""

import asyncio
import base64
import smtplib
import ssl
from pathlib import Path
from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.front.bearer import bearer_of, login_of
from relay.front.entrances import Entrance
from relay.front.server import Doors
from relay.reply import Reply, TransientError
from tests.weblistener import ACME, BEARER, LETTER, OTHER_BEARER, Listener, opened, run

RAW = b"From: a@acme.example\r\nSubject: raw\r\n\r\n.dot\r\n\xff\r\n"
RAW_HEADERS = {"Content-Type": "message/rfc822", "X-Mailweir-From": "a@acme.example", "X-Mailweir-To": "x@d.example"}
_START = b"POST /v1/messages HTTP/1.1\r\nHost: x\r\nAuthorization: %s\r\n" % BEARER["Authorization"].encode()


def authorization(login: str, password: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {bearer_of(login, password)}"}


async def raw(listener: Listener, *sent: bytes) -> bytes:
    """Send bytes as they are and return what came back until the listener closed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
    try:
        for block in sent:
            writer.write(block)
            await writer.drain()
        return await asyncio.wait_for(reader.read(), 10)
    except ConnectionError:
        return b""
    finally:
        writer.close()


def test_a_host_that_is_no_name_changes_nothing(tmp_path: Path) -> None:
    async def story(listener: Listener) -> None:
        async with listener.client(BEARER | {"Host": "["}) as client:
            assert (await client.post("/v1/messages", json=LETTER)).status_code == 202
            assert (await client.get("/healthz/")).status_code == 404

    run(tmp_path, story)


@given(
    login=st.text(min_size=1).filter(lambda text: text.isprintable()),
    password=st.text("abc-._~0", min_size=1, max_size=40),
)
def test_a_bearer_names_its_login_and_password(login: str, password: str) -> None:
    assert login_of(bearer_of(login, password)) == (login.encode(), password.encode())


@pytest.mark.parametrize(
    "bearer", ["", "mw1", "mw1.", "mw1.YQ", "mw1..secret", "mw2.YQ.secret", "mw1.!!.secret", "mw1.ä.x"]
)
def test_what_is_no_bearer_of_ours_names_nobody(bearer: str) -> None:
    assert login_of(bearer) is None


def test_a_letter_becomes_a_submission_and_an_answer(tmp_path: Path) -> None:
    async def story(listener: Listener) -> None:
        async with listener.client() as client:
            answer = await client.post("/v1/messages", json=LETTER | {"cc": ["broken"]})

        assert answer.status_code == 202
        assert answer.json() == {
            "id": "mw1.1",
            "status": "queued",
            "reply": "250 2.0.0 queued as mw1.1",
            "recipients": [
                {"address": "x@d.example", "status": "queued", "reply": "250 2.1.5 recipient ok"},
                {"address": "broken", "status": "refused", "reply": "553 5.1.3 malformed address"},
            ],
        }
        (submission,) = listener.received
        assert (submission.account, submission.credential, submission.door) == (ACME, "srv1", "http")
        assert (submission.client_ip, submission.mail_from) == ("127.0.0.1", "a@acme.example")
        assert submission.recipients == ("x@d.example",)
        assert b"Subject: hi\r\n" in submission.content
        assert not submission.is_8bit
        assert [(stage, reply) for stage, reply, _ in listener.refusals] == [("rcpt", "553 5.1.3 malformed address")]

    run(tmp_path, story)


@pytest.mark.parametrize("is_in_query", [True, False])
def test_a_finished_message_passes_byte_by_byte(tmp_path: Path, is_in_query: bool) -> None:
    async def story(listener: Listener) -> None:
        query: dict[str, Any] = {"from": "<>", "to": ["x@d.example", '"a,b"@d.example', "jörg@d.example"]}
        headers = {"Content-Type": "message/rfc822"} if is_in_query else RAW_HEADERS
        async with listener.client() as client:
            answer = await client.post(
                "/v1/messages", content=RAW, headers=headers, params=query if is_in_query else None
            )

        assert answer.status_code == 202
        (submission,) = listener.received
        assert submission.content == RAW
        assert submission.is_8bit
        if is_in_query:
            assert (submission.mail_from, submission.is_smtputf8) == ("", True)
            assert submission.recipients == ("x@d.example", '"a,b"@d.example', "jörg@d.example")
        else:
            assert (submission.mail_from, submission.recipients) == ("a@acme.example", ("x@d.example",))

    run(tmp_path, story)


def test_nobody_submits_without_a_login_from_an_allowed_network_neither(tmp_path: Path) -> None:
    async def story(listener: Listener) -> None:
        async with listener.client({}) as client:
            answer = await client.post("/v1/messages", json=LETTER)

        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert answer.json()["reply"] == "530 5.7.0 authentication required"
        assert listener.received == []

    run(tmp_path, story)


def test_basic_is_as_good_as_bearer_and_both_answer_a_wrong_one_alike(tmp_path: Path) -> None:
    async def story(listener: Listener) -> None:
        async with listener.client({}) as client:
            right = await client.post("/v1/messages", json=LETTER, auth=("srv1", "secret"))
            wrong = [
                await client.post("/v1/messages", json=LETTER, headers=authorization("srv1", "wrong")),
                await client.post("/v1/messages", json=LETTER, headers=authorization("nobody", "secret")),
                await client.post("/v1/messages", json=LETTER, auth=("srv1", "wrong")),
            ]

        assert right.status_code == 202
        assert [answer.status_code for answer in wrong] == [401] * 3
        assert len({answer.content for answer in wrong}) == 1
        assert wrong[0].json()["reply"] == "535 5.7.8 authentication credentials invalid"
        assert [failure[1:] for failure in listener.failures] == [
            (b"srv1", "BEARER"),
            (b"nobody", "BEARER"),
            (b"srv1", "BASIC"),
        ]

    run(tmp_path, story)


@pytest.mark.parametrize(
    "header", ["Bearer", "Bearer x", "Basic !!", "Basic c3J2MQ==", "Digest x", "Bearer " + "x" * 5000]
)
def test_what_is_no_login_is_not_counted_as_a_guess(tmp_path: Path, header: str) -> None:
    async def story(listener: Listener) -> None:
        async with listener.client({"Authorization": header}) as client:
            assert (await client.post("/v1/messages", json=LETTER)).status_code == 401
        assert listener.failures == []

    run(tmp_path, story)


def test_who_guesses_is_locked_out_as_in_smtp(tmp_path: Path) -> None:
    async def story(listener: Listener) -> None:
        async with listener.client(authorization("srv1", "wrong")) as client:
            codes = [(await client.post("/v1/messages", json=LETTER)).status_code for _ in range(11)]
            right = await client.post("/v1/messages", json=LETTER, headers=BEARER)

        assert codes == [401] * 10 + [429]
        assert right.status_code == 429
        assert 800 < int(right.headers["Retry-After"]) <= 901
        assert right.json()["reply"] == "454 4.7.0 too many failures, try again later"
        assert listener.received == []

    run(tmp_path, story)


def test_a_lock_holds_for_both_doors(tmp_path: Path) -> None:
    def guess(port: int, login: bytes) -> int:
        with smtplib.SMTP("127.0.0.1", port, timeout=10) as smtp:
            smtp.ehlo()
            return smtp.docmd("AUTH", "PLAIN " + base64.b64encode(b"\0" + login + b"\0wrong").decode())[0]

    async def story(listener: Listener) -> None:
        assert listener.way is not None
        doors = Doors(listener.way)
        await doors.open(Entrance("127.0.0.1:0"))
        async with listener.client(authorization("srv1", "wrong")) as client:
            for _ in range(10):
                await client.post("/v1/messages", json=LETTER)
        codes = [await asyncio.to_thread(guess, doors.ports[0], login) for login in (b"srv1", b"srv2")]
        await doors.close(1)
        assert codes == [454, 535]

    run(tmp_path, story, smtp={"auth_without_tls": True})


def test_only_a_trusted_proxy_says_who_the_client_is(tmp_path: Path) -> None:
    forwarded = {"X-Forwarded-For": "203.0.113.9, 192.0.2.7"}

    async def story(listener: Listener) -> str:
        async with listener.client() as client:
            assert (await client.post("/v1/messages", json=LETTER, headers=forwarded)).status_code == 202
        return listener.received[0].client_ip

    assert run(tmp_path, story) == "127.0.0.1"
    assert run(tmp_path, story, web={"trusted_proxies": ["127.0.0.0/8"]}) == "192.0.2.7"


def test_a_password_that_crossed_a_network_in_clear_text_is_refused(tmp_path: Path) -> None:
    async def story(listener: Listener) -> list[int]:
        codes = []
        for scheme in ("http", "https"):
            headers = {"X-Forwarded-For": "192.0.2.7", "X-Forwarded-Proto": scheme}
            async with listener.client() as client:
                codes.append((await client.post("/v1/messages", json=LETTER, headers=headers)).status_code)
        return codes

    assert run(tmp_path, story, web={"trusted_proxies": ["127.0.0.1/32"]}) == [403, 202]
    assert run(tmp_path, story) == [202, 202]


def test_the_listener_may_speak_https_itself(tmp_path: Path) -> None:
    async def story(listener: Listener) -> None:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        async with httpx2.AsyncClient(verify=context, headers=BEARER, trust_env=False) as client:
            answer = await client.post(f"https://127.0.0.1:{listener.port}/v1/messages", json=LETTER)
        assert answer.status_code == 202
        assert listener.received[0].tls == "HTTPS"

    run(tmp_path, story, web={"tls": True})


@pytest.mark.parametrize(
    ("reply", "status", "retry"),
    [
        (
            Reply(451, "4.7.1", "[RATE] sender a|b|c over recipients per hour: limit=1, next=2000-01-01T00:00:00Z"),
            429,
            "1",
        ),
        (Reply(450, "4.7.1", "[TSA] sender is blocked"), 503, "60"),
        (TransientError(Reply(452, "4.3.1", "insufficient system storage")), 503, "60"),
        (Reply(550, "5.7.1", "[SS] refused"), 403, None),
        (Reply(554, "5.4.6", "mail loop"), 422, None),
        (Reply(552, "5.3.4", "message too big"), 413, None),
        (ValueError("secret internals"), 503, "60"),
    ],
    ids=lambda value: str(value)[:12],
)
def test_a_refusal_says_the_same_as_smtp(
    tmp_path: Path, reply: Reply | Exception, status: int, retry: str | None
) -> None:
    async def story(listener: Listener) -> None:
        listener.reply = reply
        async with listener.client() as client:
            answer = await client.post("/v1/messages", json=LETTER)

        assert (answer.status_code, answer.headers.get("Retry-After")) == (status, retry)
        document, said = answer.json(), getattr(reply, "reply", reply)
        assert document["status"] == status
        assert document["reply"] == f"{document['code']} {document['enhanced']} {document['detail']}"
        assert document["reply"] == (
            str(said) if isinstance(said, Reply) else "451 4.3.0 internal error, try again later"
        )

    run(tmp_path, story)


@pytest.mark.parametrize(
    ("mark", "status"), [("(held)", "held"), ("(delayed, over the limit)", "delayed"), ("", "queued")]
)
def test_held_and_delayed_mail_is_taken_and_said_to_be_so(tmp_path: Path, mark: str, status: str) -> None:
    async def story(listener: Listener) -> None:
        listener.reply = Reply(250, "2.0.0", f"queued as mw1.77 {mark}".strip())
        async with listener.client() as client:
            answer = (await client.post("/v1/messages", json=LETTER)).json()
        assert (answer["id"], answer["status"], answer["recipients"][0]["status"]) == ("mw1.77", status, status)

    run(tmp_path, story)


def test_when_every_recipient_is_refused_so_is_the_message(tmp_path: Path) -> None:
    async def story(listener: Listener) -> None:
        async with listener.client() as client:
            answer = await client.post("/v1/messages", json=LETTER | {"to": ["broken", "a@b@c"]})

        assert answer.status_code == 422
        assert [each["status"] for each in answer.json()["recipients"]] == ["refused"] * 2
        assert listener.received == []

    run(tmp_path, story)


@pytest.mark.parametrize(
    ("headers", "content", "status"),
    [
        ({"Content-Type": "text/plain"}, b"{}", 415),
        ({}, b"{}", 415),
        ({"Content-Type": "application/json"}, b"", 422),
        ({"Content-Type": "application/json"}, b"[" * 5_000_000, 422),
        ({"Content-Type": "application/json"}, b'{"headers":' + b'{"a":' * 1_000_000, 422),
        ({"Content-Type": "application/json"}, b'{"from":"\xff"}', 422),
        ({"Content-Type": "application/json"}, b'{"from":"\\ud800"}', 422),
        ({"Content-Type": "application/json"}, b'{"from":"a@b.example","to":["x@d.example"],"text":"a\\u0000"}', 422),
        ({"Content-Type": "message/rfc822"}, RAW, 422),
        (RAW_HEADERS | {"X-Mailweir-From": "a b@c.example"}, RAW, 422),
        (RAW_HEADERS, b"bare\nline\r\n", 422),
        (RAW_HEADERS, b"NUL\0\r\n", 422),
        (RAW_HEADERS, b"X: " + b"y" * 600_000 + b"\r\n\r\n", 413),
        (RAW_HEADERS | {"Idempotency-Key": ""}, RAW, 422),
        (RAW_HEADERS | {"Idempotency-Key": "x" * 256}, RAW, 422),
        (RAW_HEADERS | {"Idempotency-Key": "a\tb"}, RAW, 422),
    ],
)
def test_nonsense_gets_one_clear_answer(tmp_path: Path, headers: dict[str, str], content: bytes, status: int) -> None:
    async def story(listener: Listener) -> None:
        async with listener.client() as client:
            answer = await client.post("/v1/messages", content=content, headers=headers)

        assert answer.status_code == status
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert answer.json()["code"] >= 500
        assert listener.received == []

    run(tmp_path, story)


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/v1/messages", 405), ("GET", "/x", 404), ("PUT", "/", 404)]
)
def test_what_is_not_there_is_a_problem_document_too(tmp_path: Path, method: str, path: str, status: int) -> None:
    async def story(listener: Listener) -> None:
        async with listener.client() as client:
            answer = await client.request(method, path)
            assert (answer.status_code, answer.json()["status"]) == (status, status)
            assert (await client.get("/healthz")).json() == {"status": "ok"}

    run(tmp_path, story)


def test_a_body_that_is_announced_too_large_is_refused_unread(tmp_path: Path) -> None:
    async def story(listener: Listener) -> None:
        answer = await raw(
            listener,
            _START + b"Connection: close\r\nContent-Type: application/json\r\nContent-Length: 99999999\r\n\r\n{",
        )
        assert answer.startswith(b"HTTP/1.1 413 ")
        assert b"552 5.3.4" in answer

    run(tmp_path, story, smtp={"max_size_bytes": 65_536}, web={"timeout_seconds": 0.3})


def test_a_body_that_grows_too_large_is_refused_on_the_way(tmp_path: Path) -> None:
    async def story(listener: Listener) -> None:
        chunks = [b"10000\r\n" + b"x" * 65_536 + b"\r\n"] * 2
        answer = await raw(
            listener,
            _START + b"Content-Type: message/rfc822\r\nX-Mailweir-From: a@b.example\r\nX-Mailweir-To: x@d.example\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n",
            *chunks,
        )
        assert answer.startswith(b"HTTP/1.1 413 ")

    run(tmp_path, story, smtp={"max_size_bytes": 65_536}, web={"timeout_seconds": 0.3})


def test_a_message_is_never_taken_from_half_a_body(tmp_path: Path) -> None:
    async def story(listener: Listener) -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        writer.write(
            _START + b"Content-Type: application/json\r\nContent-Length: 90\r\n\r\n" + b'{"from":"a@b.example"}'
        )
        await writer.drain()
        writer.close()
        async with listener.client() as client:
            assert (await client.post("/v1/messages", json=LETTER)).status_code == 202
        assert len(listener.received) == 1

    run(tmp_path, story)


def test_a_client_that_stalls_is_given_up(tmp_path: Path) -> None:
    async def story(listener: Listener) -> None:
        assert listener.web is not None
        nothing, half_header, half_body = await asyncio.gather(
            raw(listener),
            raw(listener, _START),
            raw(listener, _START + b"Content-Type: application/json\r\nContent-Length: 50\r\n\r\n{"),
        )
        assert (nothing, half_header) == (b"", b"")
        assert half_body.startswith(b"HTTP/1.1 408 ")
        assert listener.web.connections == 0

    run(tmp_path, story, web={"timeout_seconds": 0.2})


def test_what_is_no_http_is_cut_and_leaves_the_others_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def story(listener: Listener) -> None:
        assert (await raw(listener, b"\x16\x03\x01nonsense\r\n\r\n")).startswith(b"HTTP/1.1 400 ")
        await raw(listener, _START + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n")
        async with listener.client() as client:
            assert (await client.post("/v1/messages", json=LETTER)).status_code == 202

    run(tmp_path, story)
    loud = [record for record in caplog.records if record.levelname in ("WARNING", "ERROR")]
    assert {record.name for record in loud} <= {"mailweir.tls"}
    assert "secret" not in caplog.text


def test_one_address_has_a_bounded_number_of_connections(tmp_path: Path) -> None:
    async def story(listener: Listener) -> None:
        inside = [await asyncio.open_connection("127.0.0.1", listener.port) for _ in range(2)]
        for _, writer in inside:
            writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert all([await reader.readline() for reader, _ in inside])
        assert await raw(listener, b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n") == b""
        for _, writer in inside:
            writer.close()
            await writer.wait_closed()
        async with listener.client() as client:
            assert (await client.get("/healthz")).status_code == 200

    run(tmp_path, story, smtp={"max_connections_per_address": 2})


def test_one_account_cannot_take_all_places(tmp_path: Path) -> None:
    async def story(listener: Listener) -> None:
        listener.gate.clear()
        async with listener.client() as client:
            waiting = [asyncio.create_task(client.post("/v1/messages", json=LETTER)) for _ in range(65)]
            done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED, timeout=10)
            assert [(task.result().status_code, task.result().headers["Retry-After"]) for task in done] == [(429, "1")]
            listener.gate.set()
            others = await client.post("/v1/messages", json=LETTER, headers=OTHER_BEARER)
            assert others.status_code == 202
            answers = await asyncio.gather(*waiting)
        assert sorted(answer.status_code for answer in answers) == [202] * 64 + [429]

    run(tmp_path, story)


def test_bodies_in_memory_are_bounded(tmp_path: Path) -> None:
    head = _START + b"Content-Type: application/json\r\nContent-Length: 157000\r\nExpect: 100-continue\r\n\r\n"

    async def story(listener: Listener) -> None:
        held = [await asyncio.open_connection("127.0.0.1", listener.port) for _ in range(4)]
        for reader, writer in held:
            writer.write(head)
            assert await reader.readline() == b"HTTP/1.1 100 Continue\r\n"  # it has its room
            writer.write(b"{")
        async with listener.client() as client:
            for _ in range(500):
                answer = await client.post(
                    "/v1/messages", content=b"x" * 100_000, headers={"Content-Type": "application/json"}
                )
                if answer.status_code == 503:
                    break
                await asyncio.sleep(0)
            assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
            assert (await client.post("/v1/messages", json=LETTER)).status_code == 202
            for _, writer in held:
                writer.close()
            async with asyncio.timeout(10):
                while answer.status_code == 503:
                    answer = await client.post(
                        "/v1/messages", content=b"x" * 100_000, headers={"Content-Type": "application/json"}
                    )
            assert answer.status_code == 422

    run(tmp_path, story, smtp={"max_size_bytes": 65_536})


def test_closing_finishes_what_runs_and_takes_nothing_new(tmp_path: Path) -> None:
    async def story() -> None:
        async with opened(tmp_path) as listener:
            assert listener.web is not None
            listener.gate.clear()
            async with listener.client() as client:
                running = asyncio.create_task(client.post("/v1/messages", json=LETTER))
                await listener.arrived.wait()
                # a second request on a connection that is busy
                reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
                writer.write(_START + b"Content-Type: application/json\r\n")
                await writer.drain()
                closing = asyncio.create_task(listener.web.close())
                await asyncio.sleep(0)
                writer.write(b"Content-Length: 2\r\n\r\n{}")
                late = await asyncio.wait_for(reader.read(), 5)
                listener.gate.set()
                assert (await running).status_code == 202
                await closing
            assert late == b"" or late.startswith(b"HTTP/1.1 503 ")
            assert len(listener.received) == 1
            writer.close()

    asyncio.run(story())


def test_an_address_literal_and_a_login_with_signs_are_no_trouble(tmp_path: Path) -> None:
    async def story(listener: Listener) -> None:
        odd = base64.b64encode("näme:pass:word".encode()).decode()
        async with listener.client({"Authorization": f"basic  {odd}"}) as client:
            assert (await client.post("/v1/messages", json=LETTER)).status_code == 401
        assert listener.failures == [("127.0.0.1", "näme".encode(), "BASIC")]
        async with listener.client() as client:
            answer = await client.post("/v1/messages", json=LETTER | {"to": "x@[192.0.2.1]"})
        assert answer.status_code == 202

    run(tmp_path, story)
