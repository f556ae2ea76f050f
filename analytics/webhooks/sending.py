"""One call over HTTP: to an address that was checked, once, without redirects. Never raises for what a peer does."""

import asyncio
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address
from urllib.parse import urlsplit, urlunsplit

import httpx2

import relay
from analytics.webhooks.payload import signature
from relay.control.webhooks.views import WebhookKey
from relay.delivery.routing.public import is_public
from relay.settings import Webhooks

SIGNATURE_HEADER = "X-Mailweir-Signature"

_Networks = Sequence[IPv4Network | IPv6Network]
_ERROR_LENGTH = 200
_ANSWER_BYTES = 65_536  # more of an answer is not read


@dataclass(frozen=True, slots=True)
class Answer:
    """How a call went: HTTP status (0: none), and what was wrong ("": nothing)."""

    code: int
    error: str
    seconds: float

    @property
    def is_delivered(self) -> bool:
        return 200 <= self.code < 300 and not self.error


class Sender:
    """Calls endpoints; open it in the event loop that uses it."""

    def __init__(self, settings: Webhooks) -> None:
        self._settings = settings
        self._http = httpx2.AsyncClient(
            timeout=settings.timeout_seconds,
            follow_redirects=False,  # where a redirect leads nobody has checked
            trust_env=False,
            limits=httpx2.Limits(max_connections=64, max_keepalive_connections=0),
        )

    async def close(self) -> None:
        await self._http.aclose()

    async def call(self, endpoint: WebhookKey, body: bytes, event_id: str, attempt: int, now_unix: float) -> Answer:
        """POST a body; return how it went, at the latest after the timeout."""
        began = time.monotonic()
        try:
            async with asyncio.timeout(self._settings.timeout_seconds):
                code = await self._post(endpoint, body, event_id, attempt, int(now_unix))
            error = "" if 200 <= code < 300 else f"answered {code}"
        except (TimeoutError, httpx2.TimeoutException):
            code, error = 0, f"no answer within {self._settings.timeout_seconds:g} s"
        except ValueError as failure:  # words of ours
            code, error = 0, str(failure)[:_ERROR_LENGTH]
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as failure:
            code, error = 0, f"{type(failure).__name__}: {failure}"[:_ERROR_LENGTH]
        return Answer(code, error, time.monotonic() - began)

    async def _post(self, endpoint: WebhookKey, body: bytes, event_id: str, attempt: int, sent_unix: int) -> int:
        parts = urlsplit(endpoint.url)
        host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
        address = await _checked_address(host, port, self._settings.private_networks)
        # The checked address is dialled, not the name once more: DNS might answer otherwise the second time
        at = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
        request = self._http.build_request(
            "POST",
            urlunsplit((parts.scheme, at, parts.path or "/", parts.query, "")),
            content=body,
            headers={
                "Host": parts.netloc,
                "Content-Type": "application/json",
                "User-Agent": f"Mailweir/{relay.__version__}",
                "X-Mailweir-Event": event_id,
                "X-Mailweir-Attempt": str(attempt),
                SIGNATURE_HEADER: signature(endpoint.secret, sent_unix, body),
            },
            extensions={"sni_hostname": host},
        )
        response = await self._http.send(request, stream=True)
        try:
            read = 0
            async for block in response.aiter_raw():
                read += len(block)
                if read > _ANSWER_BYTES:
                    break
        finally:
            await response.aclose()
        return int(response.status_code)


async def _checked_address(host: str, port: int, private: _Networks) -> str:
    """Return the address to dial. Raises ValueError when any of the host's is neither public nor allowed, OSError."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    for text in addresses:
        if not is_allowed(text, private):
            raise ValueError(f"{text} is no public address; see webhooks.private_networks")
    return addresses[0]


def is_allowed(text: str, private: _Networks) -> bool:
    """Tell whether an address may be called: it is public, or in one of these networks.

    >>> is_allowed("192.0.43.7", []), is_allowed("127.0.0.1", []), is_allowed("::ffff:169.254.169.254", [])
    (True, False, False)
    """
    address = ip_address(text.partition("%")[0])
    mapped = getattr(address, "ipv4_mapped", None) or address
    return is_public(text) or any(mapped in network for network in private)
