"""POST /v1/messages: mail by HTTP, through the same way in as SMTP.

A door like the others: it knows who calls and what he means, and hands over a Submission. What becomes of the message
is said by the same replies, in JSON.
"""

import asyncio
import hashlib
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import timedelta
from http import HTTPStatus

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from relay.envelope import Once, Submission
from relay.front.bindings import check_binding
from relay.front.conversation import TRY_LATER
from relay.front.doorway import Doorway, check_suppression
from relay.front.flights import KEEP_HOURS, Flights, key_of
from relay.front.web.answers import WebRefusal, accepted, json_answer, problem
from relay.front.web.draft import Draft, Envelope, draft_of_json, draft_of_message, envelope_of, largest_body
from relay.front.web.intake import Intake
from relay.front.web.login import Caller, authenticate
from relay.reception.quota import headers_of
from relay.reply import RelayError, Reply, TransientError
from relay.settings import Smtp, Web
from relay.spool.idempotency import Answered

_log = logging.getLogger("mailweir.front")

_IN_THREAD_BYTES = 64 * 1024  # from here on a body is read and a message written beside the event loop
_RECORDED = 100  # of one request; the rest is only counted
_WRONG_TYPE = Reply(554, "5.6.1", "Content-Type: application/json or message/rfc822")


class Messages:
    """Takes mail for one relay. `answered` knows what was answered under a client's key."""

    def __init__(self, way: Doorway, settings: Web, answered: Callable[[str, str, float], Answered | None]) -> None:
        self._way, self._settings = way, settings
        self._intake = Intake(largest_body(way.settings.max_size_bytes))
        self._flights = Flights(answered)
        self.on_answer: Callable[[int], None] = lambda _status: None
        # One at a time: a letter of 25 MB takes three times as much while it is written
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="compose")

    def take_up(self, settings: Smtp) -> None:
        """Hold to other numbers from the next request on."""
        self._way = replace(self._way, settings=settings)
        self._intake.take_up(largest_body(settings.max_size_bytes))

    async def close(self) -> None:
        """End what is still under way, and the writer; after the listener."""
        await self._flights.end()
        self._writer.shutdown(wait=False, cancel_futures=True)

    async def post(self, request: Request) -> Response:
        """Answer a request."""
        response = await self._response(request)
        submission: Submission | None = getattr(request.state, "submission", None)
        if self._way.quota is not None and submission is not None and (left := self._way.quota(submission)):
            response.headers.update(headers_of(left))
        self.on_answer(response.status_code)
        return response

    async def _response(self, request: Request) -> Response:
        try:
            answer, is_repeated = await self._answered(request)
        except _NobodyTaken as error:
            return problem(error, self._way.clock.now(), error.results)
        except WebRefusal as error:
            self._way.on_refusal("data", error.reply, None)
            return problem(error, self._way.clock.now())
        except RelayError as error:  # noted where it arose
            return problem(error, self._way.clock.now())
        except ClientDisconnect:
            return Response(status_code=HTTPStatus.BAD_REQUEST)  # for nobody: an unfinished message is never accepted
        except Exception:
            # one broken request must not end as a bare text; unknown means transient
            _log.exception("http submission failed")
            self._way.on_refusal("data", TRY_LATER, None)
            return problem(TransientError(TRY_LATER), self._way.clock.now())
        return json_answer(answer, HTTPStatus.ACCEPTED, {"Idempotency-Replayed": "true"} if is_repeated else None)

    async def _answered(self, request: Request) -> tuple[bytes, bool]:
        caller = await authenticate(request, self._way, self._settings.trusted_proxies)
        key, form = key_of(request), _Form(request, self._way.settings)
        with self._intake.admitted(caller.account.name) as place:
            digest = form.digest()
            on_block = _ignore if key is None else digest.update
            body = await place.read(request, form.limit, self._settings.timeout_seconds, on_block)
            if key is None:
                return await self._take(caller, form, body, None), False
            named = _Key(key, digest.digest())
            return await self._flights.once(
                (caller.account.name, named.key),
                named.digest,
                self._way.clock.unix(),
                lambda: self._take(caller, form, body, named),
            )

    async def _take(self, caller: Caller, form: "_Form", body: bytearray, key: "_Key | None") -> bytes:
        """Return the answer to a message that is on disk. Raises RelayError."""
        try:
            draft = await self._drafted(form, body)
            check_binding(self._way.credential_of(caller.login), draft.mail_from)
        except RelayError as error:
            self._way.on_refusal("data", error.reply, self._of(caller))
            raise
        if self._way.suppressed:
            draft = draft.checked(lambda address: check_suppression(self._way, caller.account.name, address))
        form.request.state.submission = replace(
            self._of(caller), mail_from=draft.mail_from, content=_head(draft.content)
        )
        body.clear()  # not kept in memory a second time until the message is stored
        bare = replace(self._of(caller), mail_from=draft.mail_from, recipients=draft.recipients)
        admission = self._way.admit(bare) if self._way.admit else None
        try:
            if admission is not None:
                draft = draft.admitted(admission)
            return await self._hand_over(replace(self._submission(caller, draft, key), admission=admission), draft)
        finally:
            if admission is not None:
                admission.close()

    async def _hand_over(self, submission: Submission, draft: Draft) -> bytes:
        for number, (address, reply) in enumerate(draft.refused):
            # as in SMTP: beyond a number they are only counted
            recorded = replace(submission, content=b"", recipients=(address,) if address else ())
            self._way.on_refusal("rcpt", reply, recorded if number < _RECORDED else None)
        if not draft.recipients:
            raise _NobodyTaken(draft)
        reply = await self._way.receive(submission)
        if not reply.is_success:
            raise RelayError(reply)
        return accepted(reply, draft.results)

    async def _drafted(self, form: "_Form", body: bytearray) -> Draft:
        if len(body) < _IN_THREAD_BYTES:
            return form.draft(body)
        return await asyncio.get_running_loop().run_in_executor(self._writer, form.draft, body)

    def _of(self, caller: Caller) -> Submission:
        """What is known before the message is."""
        bound = self._way.credential_of(caller.login)
        return Submission(
            account=caller.account,
            credential=caller.login,
            client_ip=caller.client_ip,
            helo="",
            tls=caller.tls,
            door="http",
            mail_from="",
            recipients=(),
            content=b"",
            received_at=self._way.clock.now(),
            end_sender=bound.end_sender if bound else "",
            sender_domains=bound.sender_domains if bound else (),
        )

    def _submission(self, caller: Caller, draft: Draft, key: "_Key | None") -> Submission:
        submission, once = self._of(caller), None
        if key is not None:
            until = submission.received_at + timedelta(hours=KEEP_HOURS)
            once = Once(key.key, key.digest, until, lambda reply: accepted(reply, draft.results))
        return replace(
            submission,
            mail_from=draft.mail_from,
            recipients=draft.recipients,
            content=draft.content,
            is_8bit=draft.is_8bit,
            is_smtputf8=draft.is_smtputf8,
            once=once,
        )


@dataclass(frozen=True, slots=True)
class _Key:
    """A client's key and the digest of the request that came with it."""

    key: str
    digest: bytes


class _Form:
    """In which form a request brings its message, and where the envelope is then. Raises RelayError."""

    def __init__(self, request: Request, settings: Smtp) -> None:
        self.request, self._settings = request, settings
        self._envelope: Envelope | None = None
        content_type = request.headers.get("content-type", "")
        match content_type.partition(";")[0].strip().lower():
            case "application/json":
                self.limit = largest_body(settings.max_size_bytes)
            case "message/rfc822":
                self.limit, self._envelope = settings.max_size_bytes, envelope_of(request)
            case _:
                raise WebRefusal(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, _WRONG_TYPE)

    def digest(self) -> "hashlib._Hash":
        """Begin the digest of the request: what stands beside the body belongs to it."""
        return hashlib.sha256(repr(self._envelope).encode() + b"\0")

    def draft(self, body: bytearray) -> Draft:
        if self._envelope is None:
            return draft_of_json(body, self._settings)
        return draft_of_message(body, self._envelope, self._settings)


class _NobodyTaken(RelayError):
    """Every recipient was refused; told by the reply of one that may be tried again, where there is one."""

    def __init__(self, draft: Draft) -> None:
        replies = [reply for _, reply in draft.refused]
        super().__init__(next((reply for reply in replies if reply.is_transient), replies[0]))
        self.results = draft.results


def _head(content: bytes) -> bytes:
    """The header lines, which may name the end sender."""
    return content[: content.find(b"\r\n\r\n") + 2]


def _ignore(_block: bytes) -> None: ...
