"""`mailweir model shadow`: what another model would say of the mail of the last days, before it is promoted."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from relay.cli import Context
from relay.control.cli_options import as_json_option

if TYPE_CHECKING:
    from pathlib import Path

    from analytics.learning.shadow import Shadow, Span
    from relay.settings import Policy, Settings


@click.command("shadow")
@click.argument("name")
@click.option("--against", metavar="NAME", help="Another model to compare with. [the one in use]")
@click.option("--days", type=click.IntRange(1, 180), default=14, show_default=True, help="Mail of so many days.")
@click.option("--most", type=click.IntRange(1), default=20_000, show_default=True, help="At most so many messages.")
@click.option("--show", "shown", type=click.IntRange(0), default=20, show_default=True, help="So many differences.")
@as_json_option
@click.pass_obj
def shadow_command(
    context: Context, name: str, against: str | None, days: int, most: int, shown: int, as_json: bool
) -> None:
    """Score the last days' mail by model NAME beside the one in use, and show where they differ.

    From the words that are kept of each message (content.keep_words); nothing is changed, no message waits. `mailweir
    why MESSAGE` shows one of them; `mailweir model promote NAME` puts the model in use.
    """
    from analytics.learning.shadow import Span
    from analytics.learning.words import days_ago
    from relay.control import show

    settings = context.settings()
    span = Span(
        since=days_ago(datetime.now(UTC), days), most=most, shown=shown, lines=tuple(_lines(settings.policy).values())
    )
    found = _shadow(settings, name, against, span)
    if as_json:
        show.as_json(found)
    else:
        _tell(found, settings.policy)


def _shadow(settings: "Settings", name: str, against: str | None, span: "Span") -> "Shadow":
    from analytics.learning.shadow import shadow
    from analytics.learning.words import WordStore
    from relay.content.active import active_model
    from relay.content.model import load
    from relay.content.protocol import ModelError

    try:
        candidate = load(_folder(settings, name))
        active = load(_folder(settings, against or active_model(settings)))
        return shadow(WordStore(settings.dir / "words"), candidate, active, span)
    except ModelError as error:
        raise click.ClickException(str(error)) from error
    except FileNotFoundError as error:  # analytics makes one file of a day's parts at night
        raise click.ClickException(f"{error.filename} was put away while it was read; try again") from error


def _folder(settings: "Settings", name: str) -> "Path":
    from relay.content.active import model_folder
    from relay.content.protocol import ModelError

    try:
        return model_folder(settings, name)
    except ModelError:
        raise click.ClickException(f"there is no model {name!r} here; `mailweir model ls` names them") from None


def _lines(policy: "Policy") -> dict[str, float]:
    return {"suspect": policy.suspect_score, "hold": policy.hold_score, "refuse": policy.reject_score}


def _tell(found: "Shadow", policy: "Policy") -> None:
    from relay.control import show

    of = "" if found.judged + found.unread == found.kept else f" of {found.kept}"
    click.echo(f"{found.candidate} beside {found.active}: {found.judged}{of} messages since {found.since}")
    if found.unread:
        click.echo(f"{found.unread} not read: their words were cut by another version of this program")
    if not found.judged:
        click.echo("no words are kept of that time: content.keep_words, and analytics, which gathers them, must be on")
        return
    names = {line: name for name, line in _lines(policy).items()}
    crossings = (
        (f"{names[one.p]}, p >= {one.p:g}", one.both, one.only_active, one.only_candidate) for one in found.lines
    )
    show.table(("line", "above by both", f"by {found.active} alone", f"by {found.candidate} alone"), crossings, "")
    moved = ((one.message_id, one.received_at, f"{one.active:.3f}", f"{one.candidate:.3f}") for one in found.moved)
    show.table(("message", "received (UTC)", found.active, found.candidate), moved, "no message's p differs by 0.001")
