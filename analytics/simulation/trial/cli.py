"""The command `mailweir simulate`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from relay.control.cli_options import as_json_option

if TYPE_CHECKING:
    from analytics.simulation.trial.bag import Bag
    from analytics.simulation.trial.run import Plan
    from analytics.simulation.trial.scenarios import Scenario
    from analytics.simulation.trial.summary import Summary


@click.command()
@click.argument("scenario")
@click.option("--seed", type=int, help="Play this seed only.")
@click.option("--seeds", type=click.IntRange(1), default=3, show_default=True, help="Play the first so many seeds.")
@click.option("--corpus", type=click.Path(path_type=Path, exists=True), help="Real mail: Parquet, or its folder.")
@click.option("--days", type=click.FloatRange(1), help="Length of each world, if not its own.")
@click.option("--peers", is_flag=True, help="Play the same mail against other products' rules too.")
@click.option(
    "--path",
    "way",
    type=click.Choice(["policy", "relay"]),
    default="policy",
    show_default=True,
    help="The policy alone, in memory; or the whole relay by SMTP, on a clock that jumps.",
)
@as_json_option
def simulate(
    scenario: str,
    seed: int | None,
    seeds: int,
    corpus: Path | None,
    days: float | None,
    peers: bool,
    way: str,
    as_json: bool,
) -> None:
    """Play labelled worlds of senders against the policy, and print the score sheet.

    SCENARIO is `all`, `honest`, `attacks`, `list`, or a name of that list.
    """
    from analytics.simulation.trial.bag import Bag
    from analytics.simulation.trial.run import Plan
    from analytics.simulation.trial.scenarios import SCENARIOS

    if scenario == "list":
        for one in SCENARIOS.values():
            click.echo(f"{one.name:18} {one.about}")
        return
    chosen = [one for one in SCENARIOS.values() if scenario in (one.name, "all", _group(one))]
    if not chosen:
        raise click.BadParameter(f"{scenario!r}: there is no such scenario; `mailweir simulate list` names them")
    plan = Plan([seed] if seed is not None else range(1, seeds + 1), days, peers, way == "relay")
    _play(chosen, plan, Bag(corpus=corpus_file(corpus) if corpus else None), as_json=as_json)


def corpus_file(path: Path) -> Path:
    """The Parquet file of a corpus given by itself or by its folder."""
    return next(iter(sorted(path.glob("*.parquet"))), path) if path.is_dir() else path


def _group(scenario: "Scenario") -> str:
    return "attacks" if scenario.is_attack else "honest"


def _play(chosen: "list[Scenario]", plan: "Plan", bag: "Bag", *, as_json: bool) -> None:
    from dataclasses import asdict

    import msgspec
    from rich.console import Console
    from rich.progress import Progress

    from analytics.simulation.trial.run import run
    from analytics.simulation.trial.show import show
    from analytics.simulation.trial.targets import findings

    summaries: list[Summary] = []
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=len(chosen))
        for at, one in enumerate(chosen):

            def step(what: str, share: float, at: int = at) -> None:
                progress.update(task, description=what, completed=at + share)

            summaries += run(one, plan, bag, step)
    found = list(findings([one for one in summaries if one.regulator.startswith("mailweir")]))
    if as_json:
        told = {
            "model": bag.model_id,
            "seeds": list(plan.seeds),
            "worlds": [asdict(one) | {"pauses_per_thousand": one.pauses.per_thousand} for one in summaries],
            "targets": [asdict(one) | {"is_met": one.is_met} for one in found],
        }
        click.echo(msgspec.json.encode(told))
    else:
        show(Console(), summaries, found)
