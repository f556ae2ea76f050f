"""The commands `dest` and `shaping`: how fast which destination gets mail, and the rules that decide it."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from relay.cli import Context
from relay.control.cli_options import as_json_option, ask, dry_run_option, tell

if TYPE_CHECKING:
    from relay.control.shaping.views import DestinationChanged, RulesView
    from relay.delivery.shaping.providers import Providers

_QUIET_DAYS = 30

_source_option = click.option("--source", default="", metavar="NAME", help="Only from this egress source.")
_minutes_option = click.option("--minutes", type=float, metavar="N", help="Ends by itself after; default: never.")


def _number(text: str) -> float | None:
    """A number, or `default`: the provider's own."""
    if text == "default":
        return None
    try:
        return float(text)
    except ValueError:
        raise click.BadParameter(f"{text!r}: write a number, or `default` for the provider's own") from None


@click.group()
def dest() -> None:
    """Destinations: ls, show, suspend, resume, override.

    D is a provider's name (google, yahoo, outlook...), else the recipient's domain.
    """


@dest.command("ls")
@as_json_option
@click.pass_obj
def dest_ls(context: Context, as_json: bool) -> None:
    """List destinations with their counts since the start, and what is in force there."""
    from relay.control import show
    from relay.control.shaping import show as show_shaping

    views = ask(context, lambda relay: relay.destinations())
    show.as_json(views) if as_json else show_shaping.destinations(views)


@dest.command("show")
@click.argument("destination", metavar="D")
@as_json_option
@click.pass_obj
def dest_show(context: Context, destination: str, as_json: bool) -> None:
    """Show a destination's limits, and each effect with the rule, the reply that set it and its end."""
    from relay.control import show
    from relay.control.shaping import show as show_shaping

    view = ask(context, lambda relay: relay.destination(destination))
    show.as_json(view) if as_json else show_shaping.destination(view)


@dest.command("suspend")
@click.argument("destination", metavar="D")
@_source_option
@_minutes_option
@click.option("--reason", required=True, help="Shown wherever the suspension is.")
@as_json_option
@dry_run_option
@click.pass_obj
def dest_suspend(context: Context, /, destination: str, as_json: bool, **options: Any) -> None:
    """Send nothing there; the mail waits."""
    from relay.control.shaping.views import SuspendOrder

    order = SuspendOrder(**options)
    _tell(ask(context, lambda relay: relay.suspend_destination(destination, order)), as_json, "suspended", "suspend")


@dest.command("resume")
@click.argument("destination", metavar="D")
@_source_option
@click.option("--by-hand", is_flag=True, help="Only what was suspended by hand; rules' effects stay.")
@click.option("--reason", default="", help="Why, for the audit log.")
@as_json_option
@dry_run_option
@click.pass_obj
def dest_resume(context: Context, /, destination: str, as_json: bool, **options: Any) -> None:
    """End suspensions, and whatever rules and refusals have set; overrides stay."""
    from relay.control.shaping.views import ResumeOrder

    order = ResumeOrder(**options)
    _tell(ask(context, lambda relay: relay.resume_destination(destination, order)), as_json, "ended", "end")


@dest.command("override")
@click.argument("destination", metavar="D")
@_source_option
@click.option("--connections", type=_number, metavar="N", help="At once, from each source; or `default`.")
@click.option("--per-minute", type=_number, metavar="N", help="Messages a minute, from each source; or `default`.")
@_minutes_option
@click.option("--reason", required=True, help="Shown wherever the numbers are.")
@as_json_option
@dry_run_option
@click.pass_context
def dest_override(ctx: click.Context, /, destination: str, as_json: bool, **options: Any) -> None:
    """Put your numbers in the place of the provider's; rules and refusals may still lower them."""
    from msgspec import UNSET

    from relay.control.shaping.views import OverrideOrder

    given = {name for name in options if ctx.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE}
    connections, rate = options["connections"], options["per_minute"]
    if connections is not None and connections != int(connections):
        raise click.BadParameter(f"{connections}: write a whole number", param_hint="--connections")
    order = OverrideOrder(
        reason=options["reason"],
        source=options["source"],
        connections=(None if connections is None else int(connections)) if "connections" in given else UNSET,
        messages_per_minute=rate if "per_minute" in given else UNSET,
        minutes=options["minutes"],
        dry_run=options["dry_run"],
    )
    _tell(ask(ctx.obj, lambda relay: relay.override_destination(destination, order)), as_json, "set", "set")


def _tell(changed: "DestinationChanged", as_json: bool, done: str, would: str) -> None:
    from relay.control.shaping.show import effect_in_words

    said = f"would {would}" if changed.dry_run else done
    lines = [
        f"{said} {changed.destination} from {effect.source or 'all sources'}: {effect_in_words(effect)} "
        f"until {f'{effect.until_at:%Y-%m-%d %H:%M:%S} UTC' if effect.until_at else 'resumed'}"
        for effect in changed.effects
    ]
    if not changed.effects:
        lines.append(f"{said} {changed.destination}: the provider's numbers" if would == "set" else "nothing to end")
    if not changed.is_known:
        lines.append(f"note: no mail went to {changed.destination} since the start; `mailweir dest ls` shows the names")
    tell(changed, as_json, *lines)


@click.group()
def shaping() -> None:
    """Rules on what providers reply: validate."""


@shaping.command("validate")
@click.argument("file", required=False, type=click.Path(path_type=Path, dir_okay=False))
@as_json_option
@click.pass_obj
def shaping_validate(context: Context, file: Path | None, as_json: bool) -> None:
    """Check the table of providers with FILE over it (default: delivery.providers). Works without a relay.

    Where one answers, also list the rules that matched nothing in 30 days.
    """
    from relay.control import show
    from relay.control.client import ControlError
    from relay.delivery.shaping.providers import load_providers

    settings = context.settings()
    path = file or settings.delivery.providers
    providers = load_providers(path, settings.delivery)
    try:
        rules = ask(context, lambda relay: relay.shaping_rules())
    except ControlError as error:
        rules, unknown = None, error.detail
    quiet = _quiet(providers, rules)
    count = {"file": str(path or ""), "providers": len(providers.all()), "rules": len(providers.rules())}
    if as_json:
        since = rules.since_at if rules else None
        show.as_json({**count, "watched_since": since, "quiet": quiet})
        return
    click.echo(f"{path or 'the packaged table'}: {count['providers']} providers, {count['rules']} rules, all can fire")
    if rules is None:
        click.echo(f"which rules match is not known: {unknown}")
    elif quiet is None:
        click.echo("no rule is said to be idle: replies are watched for less than 30 days")
    else:
        click.echo(f"matched nothing in {_QUIET_DAYS} days: {', '.join(quiet) or 'none'}")


def _quiet(providers: "Providers", rules: "RulesView | None") -> list[str] | None:
    """The rules that matched nothing for long; None: nobody has watched for so long."""
    start = datetime.now(UTC) - timedelta(days=_QUIET_DAYS)
    if rules is None or rules.since_at is None or rules.since_at > start:
        return None
    matched = {rule.id for rule in rules.rules if rule.matched_at and rule.matched_at > start}
    return [rule.id for rule in providers.rules() if rule.id not in matched]
