"""/u/TOKEN: what the List-Unsubscribe link of a mail leads to (RFC 8058).

A POST with `List-Unsubscribe=One-Click` unsubscribes at once, and so does the button of the page that a GET shows. A
GET changes nothing: scanners fetch every link of a mail. The pages need no script and load nothing from anywhere.
"""

import asyncio
import html
import logging
import re
from collections.abc import Awaitable, Callable
from http import HTTPStatus

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from relay.clock import Clock
from relay.control.errors import StateFailure
from relay.front.guard import Gcra, client_key
from relay.front.web.login import Networks, client_address
from relay.front.web.page import page, posted
from relay.resellers.brand import Brands
from relay.returns.feedback import Wish

_log = logging.getLogger("mailweir.front")

_BODY_SECONDS = 10.0
_AT_ONCE = 64  # each waits for one commit of the state; more would only queue there
_STRAY_PER_MINUTE = 30.0  # of links that are none of ours, per address: nobody guesses 128 bits, but nobody need try
_STRAY_BURST_SECONDS = 60.0
# As a form field, or as a part of multipart/form-data: RFC 8058 section 3.2 allows both
_one_click = re.compile(rb'List-Unsubscribe(?:=|"(?:\r\n[^\r\n]+)*\r\n\r\n)One-Click').search
_CONFIRMED = b"confirm=yes"

_BUTTON = '<form method="post"><button name="confirm" value="yes">Stop these mails</button></form>'

# Tells of a wish, by which way it came and from which address. Raises StateFailure: nothing was noted.
Note = Callable[[Wish, str, str], Awaitable[None]]


class UnsubscribePages:
    """Serves them for one relay. `read` gives what a token says; `author_of` how to call an account to its readers."""

    def __init__(
        self,
        *,
        read: Callable[[str], Wish | None],
        note: Note,
        author_of: Callable[[str], str],
        brands: Brands,
        clock: Clock,
        proxies: Networks,
    ) -> None:
        self._read, self._note, self._author_of, self._brands = read, note, author_of, brands
        self._clock, self._proxies = clock, proxies
        self._strays = Gcra(_STRAY_PER_MINUTE, _STRAY_BURST_SECONDS)
        self._inside = 0

    def routes(self) -> list[Route]:
        return [
            Route("/u/{token}", self.get, methods=["GET"]),
            Route("/u/{token}", self.post, methods=["POST"]),
        ]

    async def get(self, request: Request) -> Response:
        """Ask whether it is meant."""
        wish = self._read(request.path_params["token"])
        return self._stray(request) if wish is None else self._asked(wish, HTTPStatus.OK)

    async def post(self, request: Request) -> Response:
        """Unsubscribe; again if you like."""
        wish = self._read(request.path_params["token"])
        if wish is None:
            return self._stray(request)
        try:
            async with asyncio.timeout(_BODY_SECONDS):
                body = await posted(request)
        except ClientDisconnect:
            return Response(status_code=HTTPStatus.BAD_REQUEST)  # for nobody
        except TimeoutError:
            return page(HTTPStatus.REQUEST_TIMEOUT, "Too slow", "The click did not come through. Please try again.")
        if body is None:
            return page(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "Too much", "This was more than a click.")
        if self._inside >= _AT_ONCE:
            return _later()
        self._inside += 1
        try:
            return await self._unsubscribe(request, wish, body)
        except StateFailure as error:
            _log.error("unsubscription not noted message=%s error=%s", wish.message_id, error)
            return _later()
        finally:
            self._inside -= 1

    async def _unsubscribe(self, request: Request, wish: Wish, body: bytes) -> Response:
        is_one_click = _one_click(body) is not None
        if not is_one_click and body.strip() != _CONFIRMED:
            return self._asked(wish, HTTPStatus.BAD_REQUEST)
        await self._note(wish, "one-click" if is_one_click else "page", client_address(request, self._proxies))
        text = f"{_told(wish)} gets no more of these mails from {html.escape(self._author_of(wish.account))}."
        return page(HTTPStatus.OK, "You are unsubscribed", text, self._brands.of_account(wish.account))

    def _asked(self, wish: Wish, status: HTTPStatus) -> Response:
        author = html.escape(self._author_of(wish.account))
        text = f"Stop mails from {author} to {_told(wish)}?</p>{_BUTTON}<p>"
        return page(status, "Unsubscribe", text, self._brands.of_account(wish.account))

    def _stray(self, request: Request) -> Response:
        address = client_address(request, self._proxies)
        if address and not self._strays.take(client_key(address), self._clock.unix()):
            response = page(HTTPStatus.TOO_MANY_REQUESTS, "Too many requests", "Please try again in a minute.")
            response.headers["Retry-After"] = "60"
            return response
        text = "This link is not complete, or not one of ours. Please take it from the mail once more."
        brand = self._brands.of_host(request.headers.get("host", ""))
        return page(HTTPStatus.NOT_FOUND, "No such link", text, brand)


def _told(wish: Wish) -> str:
    """The address, as far as whoever was forwarded the mail may know it."""
    local, _, domain = wish.address.rpartition("@")
    return html.escape(f"{local[:1]}\N{HORIZONTAL ELLIPSIS}@{domain}")


def _later() -> Response:
    response = page(HTTPStatus.SERVICE_UNAVAILABLE, "Not now", "This could not be noted. Please try again in a minute.")
    response.headers["Retry-After"] = "30"
    return response
