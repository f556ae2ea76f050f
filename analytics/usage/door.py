"""GET /v1/usage: a month's usage for programs, as JSON or CSV; each token gets its own part of the tree."""

import asyncio
from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response

from analytics.serving.answers import Refused, json
from analytics.serving.ask import ask
from analytics.serving.doors import Answer
from analytics.usage.sheet import CutShort, csv_of, records_of
from analytics.warehouse import Warehouse
from relay.clock import Clock
from relay.tree import Principal

_CSV = "text/csv; charset=utf-8"


class UsageDoor:
    """One method per route."""

    def __init__(self, warehouse: Warehouse, clock: Clock) -> None:
        self._warehouse, self._clock = warehouse, clock

    def table(self) -> Sequence[tuple[str, str, Answer]]:
        """Method, path, answer."""
        return [("GET", "/v1/usage", self.usage)]

    async def usage(self, principal: Principal, request: Request) -> Response:
        """A month's usage by reseller and account: month=2026-11, by=day, reseller=, account=, format=csv."""
        given = dict(request.query_params)
        form = given.pop("format", "json")
        if form not in ("json", "csv"):
            raise Refused(422, f"format: {form!r} is neither json nor csv")
        now, scope = self._clock.now(), principal.scope
        table = await asyncio.to_thread(ask, self._warehouse, "usage", given, scope, now)
        try:
            records = records_of(table)
        except CutShort as error:
            raise Refused(422, str(error)) from None
        if form == "json":
            return json(records)
        # what month_of let through has digits and a dash only
        name = f"usage-{given.get('month') or f'{now:%Y-%m}'}.csv"
        saved_as = {"Content-Disposition": f'attachment; filename="{name}"'}
        return Response(csv_of(records), media_type=_CSV, headers=saved_as)
