"""The command `why`: the control API for people in a terminal. `held` has a room of its own."""

import re

import click

from relay.cli import Context
from relay.control.cli_options import as_json_option
from relay.holds.cli import held as held

# Modules that cost time (HTTP, tables, settings) are imported where they are used: `held --help` needs none.

_DECISION = re.compile(r"[a-z0-9]{1,16}-d\d+")


@click.command()
@click.argument("what", metavar="DECISION|MESSAGE|SENDER")
@as_json_option
@click.pass_obj
def why(context: Context, what: str, as_json: bool) -> None:
    """Say why a decision, message or sender stands as it does."""
    from relay.control import explain

    settings = context.settings()
    if _DECISION.fullmatch(what):
        explain.decision(settings, what, as_json=as_json)
    elif "|" in what:
        explain.sender(settings, what, as_json=as_json)
    else:
        explain.message(settings, what, as_json=as_json)
