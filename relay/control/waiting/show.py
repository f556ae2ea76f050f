"""How the command line prints mail that waits."""

import click

from relay.control.show import clean, table
from relay.control.waiting.views import QueuedView, QueueView


def queued(view: QueueView) -> None:
    table(
        ("message", "recipient", "sender", "tries", "due (UTC)", "subject"),
        (
            (one.message_id, one.recipient, one.sender, one.attempts, _due(one), one.subject[:60])
            for one in view.recipients
        ),
        "nothing waits",
    )
    if view.is_cut:
        click.echo("and more: see --limit, --dest, --account, --sender")
    pauses(view)


def message(view: QueueView) -> None:
    first = view.recipients[0]
    rows: list[tuple[str, object]] = [
        ("message", first.message_id),
        ("sender", first.sender),
        ("envelope sender", first.mail_from or "<>"),
        ("subject", first.subject or None),
        ("received (UTC)", first.received_at),
        *(("waits", f"{one.recipient}: {one.attempts} tries, {clean(_due(one))}") for one in view.recipients),
    ]
    table(("what", "value"), rows, "")
    pauses(view)


def pauses(view: QueueView) -> None:
    for pause in view.pauses:
        click.echo(
            f"paused: {pause.kind} {clean(pause.key)} since {clean(pause.since)} by {clean(pause.author)}: "
            f"{clean(pause.reason)}; end it: {pause.undo}"
        )


def _due(one: QueuedView) -> object:
    if one.paused_by:
        return f"paused ({one.paused_by})"
    return "now" if one.is_in_flight or one.due_at is None else one.due_at
