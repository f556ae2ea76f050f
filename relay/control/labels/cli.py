"""The commands `label`, and `model promote` and `rollback`."""

from typing import TYPE_CHECKING

import click

from relay.cli import Context
from relay.control.cli_options import as_json_option, ask, dry_run_option, tell

if TYPE_CHECKING:
    from relay.control.labels.views import ModelView

_why_option = click.option("--why", default="", help="For the audit log.")


@click.command()
@click.argument("messages", nargs=-1, required=True, metavar="MESSAGE...")
@click.argument("label", type=click.Choice(["spam", "ham", "unsure"]))
@_why_option
@as_json_option
@dry_run_option
@click.pass_obj
def label(context: Context, messages: tuple[str, ...], label: str, why: str, as_json: bool, dry_run: bool) -> None:
    """Say what messages are, for the model to learn from.

    The label "unsure" takes an earlier one back.
    """
    from relay.control.labels.views import LabelOrder

    order = LabelOrder(message_ids=list(messages), label=label, why=why, dry_run=dry_run)  # type: ignore[arg-type]
    done = ask(context, lambda relay: relay.label(order))
    tell(done, as_json, f"{'would label' if dry_run else 'labelled'} {done.messages} messages as {done.label}")


@click.command("promote")
@click.argument("name")
@_why_option
@as_json_option
@dry_run_option
@click.pass_obj
def promote(context: Context, name: str, why: str, as_json: bool, dry_run: bool) -> None:
    """Have the running relay score by another model; no message waits."""
    from relay.control.labels.views import ModelOrder

    order = ModelOrder(model=name, why=why, dry_run=dry_run)
    _tell(ask(context, lambda relay: relay.promote_model(order)), as_json)


@click.command("rollback")
@_why_option
@as_json_option
@dry_run_option
@click.pass_obj
def rollback(context: Context, why: str, as_json: bool, dry_run: bool) -> None:
    """Have the running relay score by the model before this one again."""
    from relay.control.labels.views import ModelOrder

    order = ModelOrder(why=why, dry_run=dry_run)
    _tell(ask(context, lambda relay: relay.rollback_model(order)), as_json)


def _tell(done: "ModelView", as_json: bool) -> None:
    tell(done, as_json, f"{'would score' if done.dry_run else 'scores'} by {done.model} from now on")
