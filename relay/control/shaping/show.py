"""How the command line prints destinations: their counts, limits, and what is in force with the reply that set it."""

from collections.abc import Iterable, Sequence

import click

from relay.control.shaping.views import DestinationView, EffectView
from relay.control.show import clean, table

_UNITS = {
    "rate": "rate {value:g}/min",
    "connection_rate": "connection_rate {value:g}/min",
    "connections": "connections {value:g}",
    "messages_per_connection": "messages_per_connection {value:g}",
}


def destinations(views: Sequence[DestinationView]) -> None:
    table(
        ("destination", "provider", "waiting", "connections", "delivered", "deferred", "bounced", "in force"),
        (
            (
                view.destination,
                view.provider,
                view.waiting,
                view.active,
                view.delivered,
                view.deferred,
                view.bounced,
                ", ".join(dict.fromkeys(effect_in_words(effect) for effect in view.effects)),
            )
            for view in views
        ),
        "no mail was sent since the start",
    )


def destination(view: DestinationView) -> None:
    """Everything about one destination."""
    click.echo(
        clean(
            f"{view.destination}: provider {view.provider}; {view.waiting} waiting, {view.active} connections, "
            f"{view.delivered} delivered, {view.deferred} deferred, {view.bounced} bounced"
        )
    )
    click.echo(f"limits of each source: {', '.join(_limits(view))}")
    effects(view.effects)


def effects(views: Sequence[EffectView]) -> None:
    table(
        ("source", "effect", "since (UTC)", "until", "set by", "because"),
        (
            (
                view.source or "all",
                effect_in_words(view),
                view.since_at,
                view.until_at or "resumed",
                f"{view.author} {view.rule}" if view.author else view.rule,
                view.reply,
            )
            for view in views
        ),
        "nothing is in force",
    )


def effect_in_words(view: EffectView) -> str:
    """Name the effect with its value.

    >>> from datetime import UTC, datetime
    >>> now = datetime.now(UTC)
    >>> effect_in_words(EffectView(destination="d", source="", kind="rate", value=1.0, rule="r", reply="", since_at=now,
    ...     until_at=None, author="", blames=""))
    'rate 1/min'
    """
    words = _UNITS.get(view.kind, view.kind).format(value=view.value)
    return f"{words} ({view.blames})" if view.blames else words


def _limits(view: DestinationView) -> Iterable[str]:
    yield f"{view.connections} connections"
    if view.connections_total is not None:
        yield f"{view.connections_total} in all"
    yield f"{view.messages_per_connection} messages per connection"
    if view.messages_per_minute is not None:
        yield f"{view.messages_per_minute:g} messages/min"
    if view.connections_per_minute is not None:
        yield f"{view.connections_per_minute:g} new connections/min"
    yield f"TLS {view.tls or 'as the settings say'}"
