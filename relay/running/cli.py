"""The commands `relay`, `reload` and `send-test`: what a newcomer calls first."""

import sys

import click

from relay.cli import Context
from relay.control.cli_options import as_json_option, ask, dry_run_option


@click.command("relay")
@click.pass_obj
def serve(context: Context) -> None:
    """Run the relay alone."""
    from relay import log
    from relay.running.node import run

    log.setup("relay")
    click.get_current_context().exit(run(context.settings()))


@click.command()
@as_json_option
@dry_run_option
@click.pass_obj
def reload(context: Context, as_json: bool, dry_run: bool) -> None:
    """Take up a changed settings file without a restart.

    Says which keys were taken up and which need a restart. A wrong file changes nothing; exit code 1 then.
    """
    from relay.control import show
    from relay.control.views import ReloadOrder

    done = ask(context, lambda relay: relay.reload(ReloadOrder(dry_run=dry_run)))
    if as_json:
        show.as_json(done)
        return
    words = {one.key: f"{one.before} -> {one.after}" for one in done.changes}
    for key in done.taken_up:
        click.echo(show.clean(f"{key}: {words.get(key, '')}: {'would be taken up' if dry_run else 'taken up'}"))
    for key in done.needs_restart:
        click.echo(show.clean(f"{key}: {words.get(key, '')}: needs a restart"))
    for key in done.overruled:
        click.echo(f"{key}: overruled by the policy that was applied; see mailweir policy show")
    click.echo(f"model {done.model}: {'would be read anew' if dry_run else 'read anew'}")


@click.command("send-test")
@click.argument("to", metavar="TO")
@click.option("--from", "mail_from", help="Envelope sender and From:; default: postmaster at the account's domain.")
@click.option("--account", default="", help="Make a one-time login of this account; default: the only one there is.")
@click.option("--login", default="", help="Use this login instead; its password comes from standard input.")
@click.option("--subject", default="A test from mailweir", show_default=True)
@click.option("--text", default="This is a test message. It shows the way through the relay.\n", help="The body.")
@click.option("--wait", "wait_seconds", type=click.FloatRange(0), default=15.0, show_default=True, help="Seconds.")
@click.pass_obj
def send_test(context: Context, /, **options: str | float) -> None:
    """Send one message through the SMTP door and tell its whole story.

    Exit code 0 when it was delivered, 1 when it was refused, held, or not delivered in time.
    """
    from relay.running.send_test import Test, run

    password = ""
    if options["login"]:
        is_asked = sys.stdin.isatty()
        password = click.prompt("password", hide_input=True) if is_asked else sys.stdin.readline().rstrip("\r\n")
    test = Test(
        to=str(options["to"]),
        mail_from=str(options["mail_from"] or ""),
        account=str(options["account"]),
        login=str(options["login"]),
        password=password,
        subject=str(options["subject"]),
        text=str(options["text"]),
        wait_seconds=float(options["wait_seconds"]),
    )
    click.get_current_context().exit(run(context.settings(), test))
