"""The control API for Python: one method per verb, answers as relay.control.views. Synchronous.

ControlError            the relay refused; .status and .detail say why
+-- ControlUnreachable  it does not answer
"""

import ssl
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self, TypeVar

import httpx2
import msgspec

from relay.backup.calls import BackupCalls
from relay.cases.calls import CaseCalls
from relay.control.accounts.calls import quoted
from relay.control.desk_calls import DeskCalls
from relay.control.labels.calls import LabelCalls
from relay.control.shaping.calls import DestinationCalls
from relay.control.views import (
    ConfirmOrder,
    DecisionView,
    Freed,
    HeldView,
    HoldOrder,
    NewDecision,
    Outcome,
    Problem,
    ReleaseOrder,
    Reloaded,
    ReloadOrder,
    SenderView,
    Stopped,
)
from relay.control.waiting.calls import QueueCalls
from relay.control.webhooks.calls import WebhookCalls
from relay.evidence.calls import EvidenceCalls
from relay.holds.calls import HeldCalls
from relay.privacy.calls import PrivacyCalls
from relay.running.ports import reachable
from relay.saved.calls import SavedCalls
from relay.settings import Settings, split_listen
from relay.tenants.calls import TenantCalls

_T = TypeVar("_T")
_TIMEOUT_SECONDS = 10.0


class ControlError(Exception):
    """The relay refused; `status` as in HTTP, `detail` in words."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status, self.detail = status, detail


class ControlUnreachable(ControlError):
    """The relay does not answer; nothing was done, or nobody knows."""


class ControlClient(
    BackupCalls,
    PrivacyCalls,
    EvidenceCalls,
    DestinationCalls,
    DeskCalls,
    QueueCalls,
    LabelCalls,
    HeldCalls,
    WebhookCalls,
    CaseCalls,
    SavedCalls,
    TenantCalls,
):
    """Talks to one relay. Close it, or use it in a `with`."""

    def __init__(
        self, base_url: str, token: str, *, timeout_seconds: float = _TIMEOUT_SECONDS, token_file: Path | None = None
    ) -> None:
        self._url, self._token_file = base_url.rstrip("/"), token_file
        self._http = httpx2.Client(
            base_url=self._url,
            headers={"Authorization": f"Bearer {token}"} if token else {},
            timeout=timeout_seconds,
            verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),  # never used: reading the CAs' certificates takes 90 ms
            trust_env=False,  # a proxy of the environment has no business between us and loopback
        )

    @classmethod
    def of(
        cls, settings: Settings, name: str = "admin", *, timeout_seconds: float = _TIMEOUT_SECONDS
    ) -> "ControlClient":
        """The client of this node's relay, with the token file of `name`. Raises ControlError without one."""
        path = settings.tokens_dir / f"{name}.token"
        try:
            token = path.read_text().strip()
        except FileNotFoundError:
            token = ""  # made when the relay first starts: until then the answer is that it does not run
        except OSError as error:
            raise ControlError(401, f"the token cannot be read: {error}") from None
        return cls(base_url(settings.control.listen), token, timeout_seconds=timeout_seconds, token_file=path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def status(self) -> dict[str, Any]:
        """What the node says of itself: node, version, demo, started_at, counts..."""
        return self._get("/v1/status", dict[str, Any])

    def decisions(
        self, *, sender: str = "", account: str = "", open_only: bool = False, limit: int = 200
    ) -> list[DecisionView]:
        """Decisions, youngest first."""
        query = {"sender": sender, "account": account, "open": "1" if open_only else "", "limit": str(limit)}
        return self._get("/v1/decisions", list[DecisionView], query)

    def decision(self, decision_id: str) -> DecisionView:
        return self._get(f"/v1/decisions/{quoted(decision_id)}", DecisionView)

    def propose(self, new: NewDecision) -> Stopped:
        return self._post("/v1/decisions", new, Stopped)

    def release_decision(self, decision_id: str, order: ReleaseOrder | None = None) -> Freed:
        """Release the sender of a decision and its held mail."""
        return self._post(f"/v1/decisions/{quoted(decision_id)}/release", order or ReleaseOrder(), Freed)

    def confirm(self, decision_id: str, order: ConfirmOrder | None = None) -> DecisionView:
        return self._post(f"/v1/decisions/{quoted(decision_id)}/confirm", order or ConfirmOrder(), DecisionView)

    def sender(self, sender: str) -> SenderView:
        return self._get(f"/v1/senders/{quoted(sender)}", SenderView)

    def hold_sender(self, sender: str, order: HoldOrder | None = None) -> Stopped:
        return self._post(f"/v1/senders/{quoted(sender)}/hold", order or HoldOrder(), Stopped)

    def release_sender(self, sender: str, order: ReleaseOrder | None = None) -> Freed:
        return self._post(f"/v1/senders/{quoted(sender)}/release", order or ReleaseOrder(), Freed)

    def message(self, message_id: str) -> HeldView:
        return self._get(f"/v1/messages/{quoted(message_id)}", HeldView)

    def queue(self) -> dict[str, Any]:
        """counts, destinations (waiting, held), delivery (active, delivered, deferred, bounced)."""
        return self._get("/v1/queue", dict[str, Any])

    def reload(self, order: ReloadOrder) -> Reloaded:
        """Have the settings file read anew. Raises ControlError with what is wrong in it."""
        return self._post("/v1/reload", order, Reloaded)

    def outcome(self, outcome: Outcome) -> None:
        self._post("/v1/outcomes", outcome, dict[str, Any])

    def _ask(
        self,
        method: str,
        path: str,
        answer: type[_T],
        *,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> _T:
        try:
            response = self._http.request(method, path, params=query, content=body)
        except httpx2.ConnectError:
            raise ControlUnreachable(
                503, f"the relay's control API at {self._url} does not answer; is `mailweir up` running?"
            ) from None
        except httpx2.HTTPError as error:
            raise ControlUnreachable(503, f"the relay's control API at {self._url} broke off: {error!r}") from None
        return answer_of(response, answer, self._hint)

    def _hint(self, status: int) -> str:
        if status != 401 or self._token_file is None:
            return ""
        return f". The token used was that of {self._token_file}; is {self._url} the relay of another folder?"


def answer_of(response: httpx2.Response, answer: type[_T], hint: Callable[[int], str] = lambda status: "") -> _T:
    """Decode an answer of the API. Raises ControlError for a problem document; `hint` may add to its words."""
    status, content = response.status_code, response.content
    if response.is_success:
        return msgspec.json.decode(content, type=answer)
    try:
        detail = msgspec.json.decode(content, type=Problem).detail
    except msgspec.DecodeError:
        detail = f"HTTP {status}: {content[:200].decode(errors='replace')}"
    raise ControlError(status, detail + hint(status))


def base_url(listen: str) -> str:
    """The URL a client dials for an address to listen on.

    >>> base_url("0.0.0.0:8025")
    'http://127.0.0.1:8025'
    """
    host, port = split_listen(listen)
    host = reachable(host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
