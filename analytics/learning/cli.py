"""`mailweir model`: train, look at and try spam models."""

import contextlib
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from analytics.learning.cli_shadow import shadow_command
from relay.cli import Context
from relay.control.labels.cli import promote, rollback

if TYPE_CHECKING:
    from collections.abc import Iterator

    from relay.content.model_files import Card, Figures
    from relay.settings import Settings

_PHASES = ("writing our own mail", "reading mail", "learning", "judging")
_DEFAULT_FOLDER = Path("data/models")


@click.group()
def model() -> None:
    """Train, show and try spam models."""


model.add_command(promote)
model.add_command(rollback)
model.add_command(shadow_command)


@model.command("train")
@click.option("--name", required=True, help="The model's name, and its folder below data/models.")
@click.option(
    "--corpus", type=click.Path(path_type=Path), help="Parquet file of labelled mail (id label source split raw)."
)
@click.option("--all", "everything", is_flag=True, help="Also learn from sources whose terms forbid a shipped model.")
@click.option(
    "--folder", type=click.Path(path_type=Path), default=_DEFAULT_FOLDER, show_default=True, help="Where models lie."
)
@click.option(
    "--cores", type=click.IntRange(1), help="How many to use; each takes about 1 GB for 38,000 mails. [all there are]"
)
def train_command(name: str, corpus: Path | None, everything: bool, folder: Path, cores: int | None) -> None:
    """Learn a model from labelled mail and write it with its card. The same mail gives the same model, to the byte."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    from analytics.learning.corpus import CorpusError, read_corpus
    from analytics.learning.crew import Crew
    from analytics.learning.reading import sampled
    from analytics.learning.training import save, train

    columns = (
        TextColumn("{task.description:24}"),
        BarColumn(),
        TextColumn("{task.percentage:3.0f} %"),
        TimeElapsedColumn(),
    )
    with Progress(*columns) as progress:
        tasks = {phase: progress.add_task(phase, total=None) for phase in _PHASES}

        def step(phase: str, done: int, total: int) -> None:
            progress.update(tasks[phase], completed=done, total=total)

        crew = Crew(cores or len(os.sched_getaffinity(0)), step)
        try:
            samples = sampled(read_corpus(corpus, crew, everything=everything), crew)
            card = save(train(samples, name, datetime.now(UTC), crew), folder / name)
        except (CorpusError, OSError) as error:
            raise click.ClickException(str(error)) from error
    _show(card)
    click.echo(f"written to {folder / name}")


@model.command("score")
@click.option("--model", "name", default="shipped", show_default=True, help="Name of a model, or its folder.")
@click.option(
    "--prior",
    help="Share of bad mail to assume, or `auto`: the one that the scores of all messages speak for. [the card's]",
)
def score_command(name: str, prior: str | None) -> None:
    """Read message paths on standard input, print one probability of bad mail a line."""
    from relay.content.active import model_folder
    from relay.content.assess import views_of
    from relay.content.message import read
    from relay.content.model import load
    from relay.content.protocol import ModelError

    try:
        loaded = load(model_folder(_settings(), name))
    except ModelError as error:
        raise click.ClickException(str(error)) from error
    mails = (views_of(read(content), loaded.bits) for content in _contents())
    share = None if prior in (None, "auto") else _share(str(prior))
    if prior == "auto":
        from analytics.learning.figures import share_of

        views = [*mails]
        share = share_of([loaded.probability(one, 0.5) for one in views])
        click.echo(f"share of bad mail, by the scores: {share:.3f}", err=True)
        mails = (one for one in views)
    for one in mails:
        click.echo(f"{loaded.probability(one, share):.12g}")


def _contents() -> "Iterator[bytes]":
    for line in sys.stdin:
        if path := line.rstrip("\n"):
            try:
                content = Path(path).read_bytes()
            except OSError as error:
                raise click.ClickException(f"{path}: {error.strerror or error}") from error
            yield content if b"\r\n" in content else content.replace(b"\n", b"\r\n")


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = 0.0
    if not 0 < share < 1:
        raise click.BadParameter(f"{text!r}: a share between 0 and 1, like 0.4, or auto", param_hint="--prior")
    return share


@model.command("ls")
@click.option(
    "--folder", type=click.Path(path_type=Path), help="Only the models there. [data/models and models below dir]"
)
def list_command(folder: Path | None) -> None:
    """List models, those that this installation has learnt too; the one in use by the relay has a star."""
    from relay.content.active import active_model, model_folder, models_here
    from relay.content.model_files import CARD, read_card
    from relay.content.protocol import ModelError

    settings = _settings()
    in_use = None
    with contextlib.suppress(ModelError):  # "none", or one that is gone
        in_use = model_folder(settings, active_model(settings))
    there = (
        [path.parent.resolve() for path in sorted(folder.glob(f"*/{CARD}"))]
        if folder
        else models_here(settings).values()
    )
    for path in there:
        star = "*" if path == in_use else " "
        try:
            card = read_card(path)
            click.echo(f"{star} {path.name:24} {card.made_at}  {_headline(card)}")
        except ModelError as error:
            click.echo(f"{star} {path.name:24} cannot be used: {error}")


@model.command("show")
@click.argument("name", default="shipped")
def show_command(name: str) -> None:
    """Show a model's card: sources and terms, figures, what each action line does."""
    from relay.content.active import model_folder
    from relay.content.model import load
    from relay.content.protocol import ModelError

    try:
        _show(load(model_folder(_settings(), name)).card)
    except ModelError as error:
        raise click.ClickException(str(error)) from error


def _settings() -> "Settings":
    from relay.settings import SettingsError, load

    context = click.get_current_context().find_object(Context)
    try:
        return context.settings() if context else load(None)
    except SettingsError as error:
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
