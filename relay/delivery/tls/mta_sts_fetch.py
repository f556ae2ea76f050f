"""Fetches the file of an MTA-STS policy over HTTPS, with a certificate for mta-sts.DOMAIN (RFC 8461 section 3.3).

The address is asked of our own name servers and must be on the public internet: a stranger's record must not make the
relay knock at doors inside.
"""

import asyncio
import ssl
from collections.abc import Callable

from relay.delivery.routing.lookup import Lookup
from relay.delivery.tls.mta_sts import MAX_POLICY_BYTES, Policy, parse_policy
from relay.reply import RelayError

_FETCH_SECONDS = 20.0  # RFC 8461 section 3.3 suggests a minute; mail waits for it when a policy is new


class FetchFailure(Exception):
    """There is no policy to be had now; the text says why."""


class PolicyFetcher:
    """Gets policies from the web."""

    def __init__(
        self, lookup: Lookup, is_allowed: Callable[[str], bool], context: Callable[[], ssl.SSLContext], port: int
    ) -> None:
        """is_allowed(address): whether it may be asked."""
        self._lookup, self._is_allowed, self._context, self._port = lookup, is_allowed, context, port

    async def fetch(self, domain: str) -> Policy:
        """Return the policy of a domain (A-labels). Raises FetchFailure."""
        name = f"mta-sts.{domain}"
        try:
            async with asyncio.timeout(_FETCH_SECONDS):
                return parse_policy(await self._file(name, await self._address(name)))
        except TimeoutError as error:
            raise FetchFailure(f"{name}: timed out") from error
        except ValueError as error:
            raise FetchFailure(f"{name}: {error}") from error

    async def _address(self, name: str) -> str:
        try:
            for kind in ("A", "AAAA"):
                answer = await self._lookup.ask(name, kind)
                for record in answer.records or ():
                    if self._is_allowed(record.address):
                        return str(record.address)
        except RelayError as error:
            raise FetchFailure(error.reply.text) from error
        raise FetchFailure(f"{name}: it has no public address")

    async def _file(self, name: str, address: str) -> bytes:
        import httpx2  # 80 ms and only for the first policy

        where = f"[{address}]" if ":" in address else address
        client = httpx2.AsyncClient(verify=self._context(), trust_env=False, follow_redirects=False, timeout=None)
        try:
            async with (
                client,
                client.stream(
                    "GET",
                    f"https://{where}:{self._port}/.well-known/mta-sts.txt",
                    headers={"Host": name, "Accept": "text/plain", "Accept-Encoding": "identity"},
                    extensions={"sni_hostname": name},
                ) as response,
            ):
                if response.status_code != 200:
                    raise FetchFailure(f"{name}: status {response.status_code}")
                if response.headers.get("Content-Type", "").partition(";")[0].strip().lower() != "text/plain":
                    raise FetchFailure(f"{name}: it is not text/plain")
                body = b""
                async for piece in response.aiter_raw():
                    body += piece
                    if len(body) > MAX_POLICY_BYTES:
                        raise FetchFailure(f"{name}: larger than {MAX_POLICY_BYTES} bytes")
                return body
        except (httpx2.HTTPError, OSError) as error:
            raise FetchFailure(f"{name}: {error}") from error
