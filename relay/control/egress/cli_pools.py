"""The commands `pool` and `warmup`. They work while the relay runs, and before its first start."""

from typing import Literal

import click

from relay.cli import Context
from relay.control.cli_options import as_json_option, dry_run_option, tell
from relay.control.egress.cli import ask_egress


@click.group()
def pool() -> None:
    """Pools of sources, by the reputation of whose mail leaves there: ls, set, rm.

    good, fair, suspect, forward and new always exist; without sources of their own they use those of fair, and fair
    uses all. Others are an account's own: `mailweir account set NAME --pool POOL`.
    """


@pool.command("ls")
@as_json_option
@click.pass_obj
def pool_ls(context: Context, as_json: bool) -> None:
    """List all pools, and through which sources their mail leaves now."""
    from relay.control import show
    from relay.control.egress import show as show_egress

    views = ask_egress(context, lambda egress: egress.pools())
    show.as_json(views) if as_json else show_egress.pools(views)


@pool.command("show")
@click.argument("name", metavar="POOL")
@as_json_option
@click.pass_obj
def pool_show(context: Context, name: str, as_json: bool) -> None:
    """Show one pool."""
    from relay.control import show
    from relay.control.egress import show as show_egress

    view = ask_egress(context, lambda egress: egress.pool(name))
    show.as_json(view) if as_json else show_egress.pools([view])


@pool.command("set")
@click.argument("name", metavar="POOL")
@click.argument("members", nargs=-1, required=True, metavar="SOURCE[=WEIGHT]...")
@as_json_option
@dry_run_option
@click.pass_obj
def pool_set(context: Context, name: str, members: tuple[str, ...], as_json: bool, dry_run: bool) -> None:
    """Give a pool exactly these sources; a weight of 2 gets twice as much as one of 1."""
    from relay.control.egress.show import weights
    from relay.control.egress.views import PoolOrder

    order = PoolOrder(members=dict(_member(text) for text in members), dry_run=dry_run)
    view = ask_egress(context, lambda egress: egress.set_pool(name, order))
    tell(view, as_json, f"{'would set' if dry_run else 'set'} pool {name}: {weights(view.members)}")


@pool.command("rm")
@click.argument("name", metavar="POOL")
@as_json_option
@dry_run_option
@click.pass_obj
def pool_rm(context: Context, name: str, as_json: bool, dry_run: bool) -> None:
    """Take all sources out of a pool; its mail then leaves through others."""
    from relay.control.accounts.views import Order

    view = ask_egress(context, lambda egress: egress.remove_pool(name, Order(dry_run=dry_run)))
    through = ", ".join(view.leaves_through)
    tell(view, as_json, f"{'would empty' if dry_run else 'emptied'} pool {name}; its mail leaves through {through}")


@click.group()
def warmup() -> None:
    """Warm-up of new addresses, per provider: ls, start, stop, set.

    A source that warms up sends a little more each day to each provider, as long as that goes well.
    """


@warmup.command("ls")
@as_json_option
@click.pass_obj
def warmup_ls(context: Context, as_json: bool) -> None:
    """List the plans of all sources that warm up."""
    from relay.control import show
    from relay.control.egress import show as show_egress

    views = ask_egress(context, lambda egress: egress.warmups())
    show.as_json(views) if as_json else show_egress.plans(views)


@warmup.command("show")
@click.argument("name")
@as_json_option
@click.pass_obj
def warmup_show(context: Context, name: str, as_json: bool) -> None:
    """Show the plans of one source."""
    from relay.control import show
    from relay.control.egress import show as show_egress

    view = ask_egress(context, lambda egress: egress.warmup(name))
    show.as_json(view) if as_json else show_egress.plans([view])


def _switch(context: Context, name: str, verb: Literal["start", "stop"], as_json: bool, dry_run: bool) -> None:
    from relay.control.accounts.views import Order

    view = ask_egress(context, lambda egress: egress.switch_warmup(name, verb, Order(dry_run=dry_run)))
    done = f"would {verb}" if dry_run else {"start": "started", "stop": "stopped"}[verb]
    tell(view, as_json, f"{done} the warm-up of source {name}")


@warmup.command("start")
@click.argument("name")
@as_json_option
@dry_run_option
@click.pass_obj
def warmup_start(context: Context, name: str, as_json: bool, dry_run: bool) -> None:
    """Hold a source back by its plans, from where they are; a new one begins with stage 1."""
    _switch(context, name, "start", as_json, dry_run)


@warmup.command("stop")
@click.argument("name")
@as_json_option
@dry_run_option
@click.pass_obj
def warmup_stop(context: Context, name: str, as_json: bool, dry_run: bool) -> None:
    """Use a source without holding it back; its plans stay where they are."""
    _switch(context, name, "stop", as_json, dry_run)


@warmup.command("set")
@click.argument("name")
@click.option("--provider", required=True, help="A provider with a plan, or `others`.")
@click.option("--stage", type=click.IntRange(1), required=True, help="Go on from there; above the last: warm.")
@as_json_option
@dry_run_option
@click.pass_obj
def warmup_set(context: Context, name: str, provider: str, stage: int, as_json: bool, dry_run: bool) -> None:
    """Put the plan for one provider on another stage. Needs the running relay."""
    from relay.control.egress.views import StageOrder

    order = StageOrder(provider=provider, stage=stage, dry_run=dry_run)
    view = ask_egress(context, lambda egress: egress.set_stage(name, order))
    tell(view, as_json, f"{'would put' if dry_run else 'put'} {name} on stage {stage} for {provider}")


def _member(text: str) -> tuple[str, int]:
    name, _, weight = text.partition("=")
    if not weight.isascii() or not (weight or "1").isdigit():
        raise click.BadParameter(f"{text!r}: write it SOURCE or SOURCE=WEIGHT, like ip1=3")
    return name, int(weight or 1)
