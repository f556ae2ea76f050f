"""The command `mailweir`. Gathers the commands of all packages through entry points and loads the one that is called.

`mailweir --help` must stay below 0.3 s: nothing is imported here but click and the standard library.
"""

import errno
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import TYPE_CHECKING

import click

from relay import __version__

if TYPE_CHECKING:
    from relay.settings import Settings

_OUR_PACKAGES = ("relay", "analytics", "dashboard")
# Nobody but the owner and his group reads what any process of ours makes: spool, journals and warehouse hold addresses
# and subjects, and other people have logins on shared servers. relay/installing/units.py says the same to systemd.
_UMASK = 0o027

# What --help says of a command without loading it: the first line of its own help (tests/relay/test_cli.py checks).
SUMMARIES = {
    "demo": "Play the whole story with simulated customers and receivers.",
    "simulate": "Play labelled worlds against the policy; score sheets.",
    "init": "Write a commented mailweir.toml.",
    "systemd": "Write units for systemd, hardened, with a user, folders and a nightly backup.",
    "up": "Run relay, analytics and dashboard until Ctrl-C.",
    "reload": "Take up a changed settings file without a restart.",
    "msg": "Messages: find them, show one, follow one.",
    "sql": "Answer one SELECT about the warehouse.",
    "usage": "A month's mail by reseller and account, as a table, CSV or JSON.",
    "export": "Write rows of the warehouse to files.",
    "doctor": "Find what is wrong with this installation, and say the fix.",
    "account": "Customers of the relay: add, change, suspend, remove.",
    "cred": "Logins of accounts: add, rotate, revoke, list.",
    "panel": "Put a server or panel behind this relay: snippet.",
    "allow": "Networks whose clients need no password: add, rm, ls.",
    "domain": "Customers' domains: their DKIM keys and DNS records.",
    "limit": "Limits by level, from one end sender to a reseller: set, ls, rm.",
    "ip": "Addresses mail leaves from: add, check, quarantine, retire.",
    "webhook": "Endpoints that are called when senders are stopped: add, ls, rm, test, log.",
    "openapi": "Print the OpenAPI 3.1 document of an API, as JSON.",
    "label": "Say what messages are, for the model to learn from.",
    "policy": "The lines of the verdict, in versions: show, apply, roll back, replay.",
    "pool": "Pools of sources, by the reputation of whose mail leaves there: ls, set, rm.",
    "warmup": "Warm-up of new addresses, per provider: ls, start, stop, set.",
    "reseller": "Resellers, who answer for accounts: add, set, suspend, remove, brand.",
    "tenant": "Tenants of a platform's account: the header that names them, ls, pause, resume.",
    "send-test": "Send one message through the SMTP door and tell its whole story.",
    "held": "Held mail: list, show, release, drop.",
    "queue": "Mail that waits: look, try now, give up, pause.",
    "user": "People who sign in to the dashboard: add, ls, set, passwd, token, rm.",
    "suppress": "Recipients no mail may go to: ls, add, rm, import, export.",
    "import": "Bring suppression lists and accounts of another provider, from CSV.",
    "sender": "One end sender: show, watch, throttle, limit, hold, block, suspend, exempt, release, note.",
    "dest": "Destinations: ls, show, suspend, resume, override.",
    "shaping": "Rules on what providers reply: validate.",
    "spool": "The queue on disk: check, list, show, export.",
    "lockdown": "Domain owners' TXT records: check one, write one.",
    "audit": "Who did what: list it, and verify that no row was changed or taken out.",
    "why": "Say why a decision, message or sender stands as it does.",
    "reputation": "How good senders, accounts, domains, addresses and pools are: ls, show.",
    "jobs": "What analytics does by itself: ls, run.",
    "report": "Mail from outside: say what bounces, complaints and reports are.",
    "reply": "Replies of other servers: say what they mean.",
    "inbox": "Mail for bounces, reports and abuse: list, import.",
    "alarm": "Alarms of the relay and of analytics: ls, ack, silence, clear.",
    "decisions": "List decisions, youngest first: who is stopped or limited, since when, by whom, and why.",
    "case": "What people wrote about abuse: list, show, close, reopen.",
    "ingest": "Bring reports from outside: DMARC, TLS, complaints, SNDS, Google, Yahoo.",
    "warehouse": "The warehouse: ingest, rebuild, info.",
    "backup": "Back up the whole node to a folder, while it runs or not.",
    "restore": "Restore a backup into an empty data folder.",
    "forget": "Forget a person: a keyed name takes the place of an address wherever it is past.",
    "purge": "Delete what is kept of old messages, or of a customer who left, before its time.",
    "notebook": "Copy notebooks to a folder of yours and open them in Jupyter: NAME, or all; `ls` lists them.",
    "model": "The spam model: train, score, show.",
    "relay": "Run the relay alone.",
    "analytics": "Run analytics alone.",
    "dashboard": "Run the dashboard alone.",
}


@dataclass(frozen=True, slots=True)
class Context:
    """What every command gets by `click.pass_obj`."""

    config: Path | None

    def settings(self) -> "Settings":
        """The settings, read anew. Raises SettingsError."""
        from relay.settings import load

        return load(self.config)


class LazyGroup(click.Group):
    """Knows its commands by entry point; imports one only to run it or to show its own help."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        order = list(SUMMARIES)
        return sorted(_entries(), key=lambda name: (order.index(name) if name in order else len(order), name))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        entry = _entries().get(cmd_name)
        if entry is None:
            return None
        try:
            command = entry.load()
        except ImportError as error:
            raise click.ClickException(f"the command {cmd_name!r} cannot be loaded: {error}") from error
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, SUMMARIES.get(name, "")) for name in self.list_commands(ctx)])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="mailweir", message="%(prog)s %(version)s")
@click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Settings; default: $MAILWEIR_CONFIG, else ./mailweir.toml, else /etc/mailweir/mailweir.toml, else defaults.",
)
@click.pass_context
def mailweir(ctx: click.Context, config: Path | None) -> None:
    """Relay outbound mail; stop the hijacked sender and nobody else; say why."""
    if config is not None:
        config = config.absolute()
        os.environ["MAILWEIR_CONFIG"] = str(config)  # for what reads settings by itself, and for child processes
    ctx.obj = Context(config)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and exit: 0 done, 1 it failed (one clear line says why), 2 it was called wrongly."""
    os.umask(os.umask(_UMASK) | _UMASK)
    sys.exit(run(arguments))


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code."""
    try:
        result = mailweir.main(arguments, prog_name="mailweir", standalone_mode=False)
        return result if isinstance(result, int) else 0
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("aborted", err=True)
        return 1
    except Exception as error:
        # An error type of our own, or of the system, carries a text for people. Anything else is a bug of ours and
        # keeps its traceback.
        if isinstance(error, BrokenPipeError) or (isinstance(error, OSError) and error.errno == errno.EPIPE):
            sys.stdout = None  # the reader is gone (`| head`); the interpreter must not flush into the void
            return 1
        if not _is_clear(error):
            raise
        click.echo(f"mailweir: {error}", err=True)
        return 1


def _entries() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group="mailweir.commands")}


def _is_clear(error: Exception) -> bool:
    return isinstance(error, OSError) or type(error).__module__.partition(".")[0] in _OUR_PACKAGES


if __name__ == "__main__":
    main()
