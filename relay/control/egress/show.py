"""How the command line prints egress sources, pools and warm-up plans."""

from collections.abc import Mapping, Sequence

import click

from relay.control.egress.views import PlanView, PoolView, SourceView, TroubleView, WarmupView
from relay.control.show import clean, table


def sources(views: Sequence[SourceView]) -> None:
    table(
        ("source", "address", "ehlo", "state", "pools", "troubles"),
        (
            (one.name, one.address, one.ehlo or "(hostname)", _state(one), weights(one.pools), _troubles(one))
            for one in views
        ),
        "no sources: mail leaves from the address the system chooses. Add one with: mailweir ip add NAME ADDRESS",
    )


def source(view: SourceView) -> None:
    """Everything about one source."""
    rows: list[tuple[str, object]] = [
        ("source", view.name),
        ("address", view.address),
        ("ehlo", view.ehlo or "(the node's hostname)"),
        ("state", _state(view)),
        ("pools", weights(view.pools) or None),
        *((f"at {one.destination}", _trouble(one)) for one in view.troubles),
        ("created (UTC)", view.created_at),
    ]
    table(("what", "value"), ((name, found) for name, found in rows if found is not None), "")


def pools(views: Sequence[PoolView]) -> None:
    table(
        ("pool", "own sources", "leaves through", "own pool of"),
        ((one.name, weights(one.members), _through(one), ", ".join(one.accounts)) for one in views),
        "",
    )


def plans(views: Sequence[WarmupView]) -> None:
    if views and not any(view.plans for view in views):
        names = ", ".join(view.source for view in views)
        click.echo(f"{names}: the plans are counted in the running relay's memory; start it first: mailweir up")
        return
    table(
        (
            "source",
            "provider",
            "stage",
            "a day",
            "an hour",
            "sent",
            "deferred",
            "blocked",
            "complaints",
            "next",
            "last day",
        ),
        ((view.source, *_plan(plan)) for view in views for plan in view.plans),
        "nothing is warming up; begin with: mailweir warmup start NAME",
    )


def weights(members: Mapping[str, int]) -> str:
    """Members as `pool set` reads them.

    >>> weights({"a": 1, "b": 3})
    'a b=3'
    """
    return " ".join(name if weight == 1 else f"{name}={weight}" for name, weight in members.items())


def _plan(plan: PlanView) -> tuple[object, ...]:
    if plan.is_warm:
        return plan.provider, "warm", "-", "-", "-", "-", "-", "-", "now", plan.last
    wait = "now" if not plan.wait_seconds else f"in {plan.wait_seconds / 60:.0f} min"
    return (
        plan.provider,
        f"{plan.stage} of {plan.stages}",
        plan.quota,
        plan.per_hour,
        plan.sent,
        plan.deferred,
        plan.blocked,
        plan.complaints,
        wait,
        plan.last,
    )


def _through(view: PoolView) -> str:
    return ", ".join(view.leaves_through) or "nothing: its mail waits"


def _state(view: SourceView) -> str:
    return "warming" if view.is_warming and view.state == "active" else view.state.value


def _troubles(view: SourceView) -> str:
    return ", ".join(f"{one.destination}: {_trouble(one)}" for one in view.troubles)


def _trouble(one: TroubleView) -> str:
    if one.until_at is not None:
        return f"{one.kind} until {clean(one.until_at)}"
    return f"{one.kind}, {one.deferred_share:.0%} deferred: half its weight"
