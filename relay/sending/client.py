"""Sends mail by HTTP: a letter in fields or a finished message, answered as the relay answers. Synchronous.

SendError            the relay refused; code, enhanced and detail are those of the SMTP reply
+-- SendLater        refused for now: the same again after .retry_seconds
    +-- Unanswered   nobody answered, or the answer was lost: the same again, under the same key
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import httpx2
import msgspec

from relay.front.bearer import bearer_of
from relay.front.compose import Letter
from relay.front.web.answers import MessageAnswer, RecipientResult, WebProblem

_USUAL_SECONDS = 60


class SendError(Exception):
    """Nothing was accepted."""

    def __init__(self, status: int, detail: str, problem: WebProblem | None = None) -> None:
        super().__init__(f"{problem.reply if problem else detail}")
        self.status, self.detail = status, detail
        self.code, self.enhanced = (problem.code, problem.enhanced) if problem else (0, "")
        self.recipients: Sequence[RecipientResult] = problem.recipients if problem else ()


class SendLater(SendError):
    """Nothing was accepted, and the same may be tried again."""

    retry_seconds = _USUAL_SECONDS


class Unanswered(SendLater):
    """Nobody knows whether it was accepted; with a key, the same request again does no harm."""


@dataclass(frozen=True, slots=True)
class Sent:
    """An accepted message, on the relay's disk. `answer` says what became of each recipient; of the sender's limit
    `remaining` of `limit` recipients are left (None: there is none, or it was not told)."""

    answer: MessageAnswer
    is_repeated: bool
    limit: int | None
    remaining: int | None


class MailClient:
    """Talks to one relay's web listener. Close it, or use it in a `with`; it keeps its connections."""

    def __init__(self, base_url: str, login: str, password: str, *, timeout_seconds: float = 30.0) -> None:
        """`base_url` like https://relay.example.net. Raises ValueError for a password that no header can carry."""
        self._http = httpx2.Client(
            base_url=base_url.rstrip("/"),
            headers={"Authorization": f"Bearer {bearer_of(login, password)}"},
            timeout=timeout_seconds,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def send(self, letter: Letter, *, key: str = "") -> Sent:
        """Send a message in fields. `key`: a name of its own; the same again within 24 hours is taken once.

        Raises SendError. Recipients that were refused one by one stand in the answer.
        """
        return self._post(msgspec.json.encode(letter), "application/json", key, {})

    def send_message(self, content: bytes, mail_from: str, recipients: Sequence[str], *, key: str = "") -> Sent:
        """Send a finished message (RFC 5322, CRLF line ends) as it is. Raises SendError."""
        envelope: dict[str, str | list[str]] = {"from": mail_from, "to": [*recipients]}
        return self._post(content, "message/rfc822", key, envelope)

    def _post(self, content: bytes, content_type: str, key: str, query: dict[str, str | list[str]]) -> Sent:
        headers = {"Content-Type": content_type} | ({"Idempotency-Key": key} if key else {})
        try:
            response = self._http.post("/v1/messages", content=content, headers=headers, params=query)
        except httpx2.HTTPError as error:
            raise Unanswered(0, f"{self._http.base_url} does not answer: {error!r}") from None
        if response.is_success:
            return _sent(response)
        raise _refused(response)


def _sent(response: httpx2.Response) -> Sent:
    return Sent(
        msgspec.json.decode(response.content, type=MessageAnswer),
        response.headers.get("Idempotency-Replayed") == "true",
        _number(response, "X-RateLimit-Limit"),
        _number(response, "X-RateLimit-Remaining"),
    )


def _refused(response: httpx2.Response) -> SendError:
    try:
        problem = msgspec.json.decode(response.content, type=WebProblem)
    except msgspec.DecodeError:  # of a proxy in between
        problem = None
    detail = problem.detail if problem else f"HTTP {response.status_code}"
    if response.status_code not in (408, 429, 502, 503, 504):
        return SendError(response.status_code, detail, problem)
    later = SendLater(response.status_code, detail, problem)
    later.retry_seconds = _number(response, "Retry-After") or _USUAL_SECONDS
    return later


def _number(response: httpx2.Response, name: str) -> int | None:
    text = response.headers.get(name, "")
    return int(text) if text.isascii() and text.isdigit() else None
