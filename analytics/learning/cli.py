"""`mailweir model`: train, look at and try spam models."""

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from relay.control.cli_labels import promote, rollback

if TYPE_CHECKING:
    from relay.content.model_files import Card, Figures

_DEFAULT_FOLDER = Path("data/models")


@click.group()
def model() -> None:
    """Train, show and try spam models."""


model.add_command(promote)
model.add_command(rollback)


@model.command("train")
@click.option("--name", required=True, help="The model's name, and its folder below data/models.")
@click.option(
    "--corpus", type=click.Path(path_type=Path), help="Parquet file of labelled mail (id label source split raw)."
)
@click.option("--all", "everything", is_flag=True, help="Also learn from sources whose terms forbid a shipped model.")
@click.option(
    "--folder", type=click.Path(path_type=Path), default=_DEFAULT_FOLDER, show_default=True, help="Where models lie."
)
def train_command(name: str, corpus: Path | None, everything: bool, folder: Path) -> None:
    """Learn a model from labelled mail and write it with its card."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    from analytics.learning.corpus import CorpusError, read_corpus
    from analytics.learning.samples import sampled
    from analytics.learning.training import save, train

    try:
        examples = read_corpus(corpus, everything=everything)
    except CorpusError as error:
        raise click.ClickException(str(error)) from error
    columns = (
        TextColumn("{task.description:24}"),
        BarColumn(),
        TextColumn("{task.percentage:3.0f} %"),
        TimeElapsedColumn(),
    )
    with Progress(*columns) as progress:
        tasks = {phase: progress.add_task(phase, total=1) for phase in ("reading mail", "learning")}

        def step(what: str, done: int, total: int) -> None:
            phase = what if what in tasks else "learning"
            progress.update(tasks[phase], completed=done, total=total, description=what)

        samples = sampled(examples, step)
        step("reading mail", 1, 1)
        card = save(train(samples, name, datetime.now(UTC), step), folder / name)
        step("with all", 1, 1)
    _show(card)
    click.echo(f"written to {folder / name}")


@model.command("score")
@click.option("--model", "name", default="shipped", show_default=True, help="Name of a model, or its folder.")
@click.option(
    "--prior",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help="Share of bad mail to assume. [the card's]",
)
def score_command(name: str, prior: float | None) -> None:
    """Read message paths on standard input, print one probability of bad mail a line."""
    from relay.content.assess import views_of
    from relay.content.message import read
    from relay.content.model import load
    from relay.content.model_files import find_model
    from relay.content.protocol import ModelError

    try:
        loaded = load(find_model(name))
    except ModelError as error:
        raise click.ClickException(str(error)) from error
    for line in sys.stdin:
        if path := line.rstrip("\n"):
            try:
                content = Path(path).read_bytes()
            except OSError as error:
                raise click.ClickException(f"{path}: {error.strerror or error}") from error
            if b"\r\n" not in content:
                content = content.replace(b"\n", b"\r\n")
            click.echo(f"{loaded.probability(views_of(read(content), loaded.bits), prior):.12g}")


@model.command("ls")
@click.option("--folder", type=click.Path(path_type=Path), default=_DEFAULT_FOLDER, show_default=True)
def list_command(folder: Path) -> None:
    """List the models of a folder."""
    from relay.content.model_files import CARD, read_card
    from relay.content.protocol import ModelError

    for path in sorted(folder.glob(f"*/{CARD}")):
        try:
            card = read_card(path.parent)
            click.echo(f"{path.parent.name:20} {card.made_at}  {_headline(card)}")
        except ModelError as error:
            click.echo(f"{path.parent.name:20} cannot be used: {error}")


@model.command("show")
@click.argument("name", default="shipped")
def show_command(name: str) -> None:
    """Show a model's card: sources and terms, figures, what each action line does."""
    from relay.content.model import load
    from relay.content.model_files import find_model
    from relay.content.protocol import ModelError

    try:
        _show(load(find_model(name)).card)
    except ModelError as error:
        raise click.ClickException(str(error)) from error


def _headline(card: "Card") -> str:
    if not card.figures:
        return "no figures"
    best = card.figures[0]
    return f"{best.name}: recall {best.recall_at_fpr_0_5_percent:.3f} at 0.5 % false positives"


def _show(card: "Card") -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    console.print(f"[bold]{card.name}[/] made {card.made_at}, features version {card.feature_version}")
    sources = Table("source", "bad", "ham", "terms", title="learnt from", title_justify="left")
    for source in card.sources:
        sources.add_row(source.name, str(source.bad), str(source.ham), source.terms)
    console.print(sources)
    for figures in card.figures:
        console.print(_table(figures))
    console.print(card.notes, style="dim")


def _table(figures: "Figures") -> "object":
    from rich.table import Table

    title = (
        f"{figures.name}: {figures.bad} bad, {figures.ham} ham; (1-ROCA)% {figures.one_minus_roca_percent:.3f}; "
        f"recall {figures.recall_at_fpr_0_5_percent:.3f} at 0.5 % and {figures.recall_at_fpr_1_percent:.3f} at 1 % "
        "false positives"
    )
    table = Table("at", "recall", "false positives", title=title, title_justify="left")
    for line in figures.lines:
        table.add_row(f"p >= {line.p}", f"{line.recall:.1%}", f"{line.false_positive_rate:.2%}")
    for source, shares in figures.by_source.items():
        recall, wrong = shares.get("recall"), shares.get("false_positive_rate")
        table.add_row(
            f"  {source}, p >= 0.9",
            "" if recall is None else f"{recall:.1%} of {shares['messages_bad']:.0f}",
            "" if wrong is None else f"{wrong:.2%} of {shares['messages_ham']:.0f}",
        )
    return table
