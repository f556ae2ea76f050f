"""/r/TOKEN: what the link in a notice leads to. A GET shows what is held and why, and asks; a POST releases.

A GET changes nothing: mail scanners fetch every link. Without login: who holds the link was sent the notice.
"""

import asyncio
import html
import logging
from collections.abc import Callable
from http import HTTPStatus

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from relay.clock import Clock
from relay.control.errors import Refusal, StateFailure
from relay.front.guard import Gcra, client_key
from relay.front.web.login import Networks, client_address
from relay.front.web.page import page, posted
from relay.notices.self_release import Offer, SelfRelease
from relay.notices.texts import ADVICE, hindered, meaning, redacted, write_to
from relay.policy.decisions.self_release import Hindrance
from relay.policy.decisions.why import facts
from relay.resellers.brand import Brand, Brands
from relay.spool.store import SpoolFull

_log = logging.getLogger("mailweir.front")

_BODY_SECONDS = 10.0
_PER_MINUTE = 30.0  # of an address, with whatever links: nobody guesses 128 bits, but nobody need try
_BURST_SECONDS = 60.0
_BUTTON = '<form method="post"><button name="confirm" value="yes">These messages are mine: release</button></form>'
_CONFIRMED = b"confirm=yes"


class ReleasePages:
    """Serves them for one relay. `contact`: whom a brand's customers write to."""

    def __init__(
        self,
        *,
        releases: SelfRelease,
        contact: Callable[[Brand], str],
        brands: Brands,
        clock: Clock,
        proxies: Networks,
    ) -> None:
        self._releases, self._contact, self._brands = releases, contact, brands
        self._clock, self._proxies = clock, proxies
        self._asked = Gcra(_PER_MINUTE, _BURST_SECONDS)

    def routes(self) -> list[Route]:
        return [
            Route("/r/{token}", self.get, methods=["GET"]),
            Route("/r/{token}", self.post, methods=["POST"]),
        ]

    async def get(self, request: Request) -> Response:
        """Show what is held, and ask."""
        if not self._takes(request):
            return _hasty()
        offer = self._releases.offer(request.path_params["token"])
        return self._stray(request) if offer is None else self._shown(offer, HTTPStatus.OK)

    async def post(self, request: Request) -> Response:
        """Release, once."""
        if not self._takes(request):
            return _hasty()
        try:
            async with asyncio.timeout(_BODY_SECONDS):
                body = await posted(request)
        except ClientDisconnect:
            return Response(status_code=HTTPStatus.BAD_REQUEST)  # for nobody
        except TimeoutError:
            return page(HTTPStatus.REQUEST_TIMEOUT, "Too slow", "The click did not come through. Please try again.")
        token = request.path_params["token"]
        if body is None or body.strip() != _CONFIRMED:
            offer = self._releases.offer(token)
            return self._stray(request) if offer is None else self._shown(offer, HTTPStatus.BAD_REQUEST)
        return await self._release(request, token)

    async def _release(self, request: Request, token: str) -> Response:
        try:
            offer, freed = await self._releases.release(token, client_address(request, self._proxies))
        except (StateFailure, SpoolFull, Refusal) as error:
            _log.error("release by link failed error=%s", error)
            return _later()
        if offer is None:
            return self._stray(request)
        if freed is None:
            return self._shown(offer, HTTPStatus.CONFLICT)
        sender = html.escape(offer.decision.proposal.sender)
        text = f"Sender {sender} may send again. Messages that waited and are on their way now: {freed.messages}."
        text = f"{text}</p><p>Should it go on as before, it is stopped again."
        return page(HTTPStatus.OK, "Released", text, self._brand_of(offer))

    def _shown(self, offer: Offer, status: HTTPStatus) -> Response:
        decision, brand = offer.decision, self._brand_of(offer)
        contact = html.escape(write_to(self._contact(brand), decision.id))
        if offer.hindrance is not None:
            title = "Nothing to release" if offer.hindrance is Hindrance.OVER else "This needs a person"
            return page(status, title, f"{html.escape(hindered(offer.hindrance))}</p><p>{contact}", brand)
        said = f"{facts(decision, self._clock.now())} {meaning(decision.proposal.effect)}"
        return page(
            status,
            "Release this sender?",
            f"{html.escape(said)}</p>{_messages(offer)}<p>{html.escape(ADVICE)}</p>{_BUTTON}<p>{contact}",
            brand,
        )

    def _brand_of(self, offer: Offer) -> Brand:
        return self._brands.of_account(offer.decision.proposal.account)

    def _stray(self, request: Request) -> Response:
        text = "This link is not complete, too old, or not one of ours. Please take it from the newest notice."
        brand = self._brands.of_host(request.headers.get("host", ""))
        return page(HTTPStatus.NOT_FOUND, "No such link", text, brand)

    def _takes(self, request: Request) -> bool:
        address = client_address(request, self._proxies)
        return not address or self._asked.take(client_key(address), self._clock.unix())


def _messages(offer: Offer) -> str:
    if not offer.held:
        return ""
    lines = "".join(f"<li>{html.escape(redacted(one.subject) or '(no subject)')}</li>" for one in offer.held)
    rest = offer.waiting - len(offer.held)
    more = f"<p>and {rest} more</p>" if rest > 0 else ""
    return f"<p>Messages that wait: {offer.waiting}</p><ul>{lines}</ul>{more}"


def _hasty() -> Response:
    response = page(HTTPStatus.TOO_MANY_REQUESTS, "Too many requests", "Please try again in a minute.")
    response.headers["Retry-After"] = "60"
    return response


def _later() -> Response:
    text = "The sender could not be released now. Please try again in a minute."
    response = page(HTTPStatus.SERVICE_UNAVAILABLE, "Not now", text)
    response.headers["Retry-After"] = "30"
    return response
