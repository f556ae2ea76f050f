"""The control API's calls for egress sources, pools and warm-up, as methods of its client."""

from collections.abc import Mapping
from typing import Literal, Protocol, TypeVar

import msgspec

from relay.control.accounts.calls import quoted
from relay.control.accounts.views import Order
from relay.control.egress.views import (
    BandsView,
    NewBands,
    NewSource,
    PoolOrder,
    PoolView,
    SourceChange,
    SourceView,
    StageOrder,
    StandOrder,
    WarmupView,
)

_T = TypeVar("_T")
_PLAINLY, _SIMPLY = Order(), StandOrder()
_BANDS = "/v1/egress/bands"
_SOURCES, _POOLS, _WARMUP = "/v1/egress/sources", "/v1/egress/pools", "/v1/egress/warmup"


class Asks(Protocol):
    """Sends one request. Raises ControlError."""

    def _ask(
        self,
        method: str,
        path: str,
        answer: type[_T],
        *,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> _T: ...


class EgressCalls:
    """`EgressCalls(client)`; each call is one request."""

    def __init__(self, client: Asks) -> None:
        self._client = client

    def sources(self) -> list[SourceView]:
        return self._get(_SOURCES, list[SourceView])

    def source(self, name: str) -> SourceView:
        return self._get(f"{_SOURCES}/{quoted(name)}", SourceView)

    def add_source(self, new: NewSource) -> SourceView:
        return self._send(_SOURCES, new, SourceView)

    def change_source(self, name: str, change: SourceChange) -> SourceView:
        return self._send(f"{_SOURCES}/{quoted(name)}", change, SourceView, "PATCH")

    def stand(
        self, name: str, verb: Literal["activate", "quarantine", "retire"], order: StandOrder = _SIMPLY
    ) -> SourceView:
        return self._send(f"{_SOURCES}/{quoted(name)}/{verb}", order, SourceView)

    def remove_source(self, name: str, order: Order = _PLAINLY) -> SourceView:
        return self._send(f"{_SOURCES}/{quoted(name)}/remove", order, SourceView)

    def bands(self) -> BandsView:
        return self._get(_BANDS, BandsView)

    def set_bands(self, new: NewBands) -> BandsView:
        return self._send(_BANDS, new, BandsView)

    def pools(self) -> list[PoolView]:
        return self._get(_POOLS, list[PoolView])

    def pool(self, name: str) -> PoolView:
        return self._get(f"{_POOLS}/{quoted(name)}", PoolView)

    def set_pool(self, name: str, order: PoolOrder) -> PoolView:
        return self._send(f"{_POOLS}/{quoted(name)}", order, PoolView)

    def remove_pool(self, name: str, order: Order = _PLAINLY) -> PoolView:
        return self._send(f"{_POOLS}/{quoted(name)}/remove", order, PoolView)

    def warmups(self) -> list[WarmupView]:
        return self._get(_WARMUP, list[WarmupView])

    def warmup(self, name: str) -> WarmupView:
        return self._get(f"{_WARMUP}/{quoted(name)}", WarmupView)

    def switch_warmup(self, name: str, verb: Literal["start", "stop"], order: Order = _PLAINLY) -> WarmupView:
        return self._send(f"{_WARMUP}/{quoted(name)}/{verb}", order, WarmupView)

    def set_stage(self, name: str, order: StageOrder) -> WarmupView:
        return self._send(f"{_WARMUP}/{quoted(name)}/stage", order, WarmupView)

    def _get(self, path: str, answer: type[_T]) -> _T:
        return self._client._ask("GET", path, answer)

    def _send(self, path: str, body: msgspec.Struct, answer: type[_T], method: str = "POST") -> _T:
        return self._client._ask(method, path, answer, body=msgspec.json.encode(body))
