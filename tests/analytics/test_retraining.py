"""Enough labels train a candidate apart; the gate judges it by later mail; what passes is promoted where wanted."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import msgspec
import numpy as np

from analytics.learning.relearn import KnownLabel, Order, relearn
from analytics.learning.retraining import Retraining
from analytics.learning.words import WordStore
from relay.clock import SystemClock
from relay.content.active import Promotion, remember
from relay.content.assess import Assessor
from relay.content.model import load
from relay.content.model_files import CARD, find_model, read_card
from relay.content.protocol import ContentRequest
from relay.control.client import ControlClient
from relay.control.labels.views import ModelOrder, ModelView
from relay.events import Label, ModelRun, decode
from relay.settings import Analytics, Settings
from relay.spool.journal import Journal
from relay.spool.words import WordLog
from tests.analytics.conftest import Room
from tests.analytics.records import Story

MESSAGES = 160
TEXTS = 300  # of our own: enough for a trial
START = datetime(2026, 11, 1, tzinfo=UTC)
# What no model was trained on: letters of two clubs, one of which writes to people who do not want it. Nothing but this
# installation's labels says which.
BAD = "The harbour club of Nieuwveen asks you to carry your new oars along before the river regatta opens the summer"
GOOD = (
    "The harbour choir of Nieuwveen asks you to bring your open song book before the bridge rehearsal closes the season"
)


def letters(seed: int = 1) -> Iterator[tuple[str, bool, bytes]]:
    rng = np.random.default_rng(seed)
    for number in range(MESSAGES):
        is_bad = bool(rng.random() < 0.5)
        words = (BAD if is_bad else GOOD).split()
        text = " ".join(rng.choice(words, 30)) + f" {number}"
        yield f"mw1.{number}", is_bad, f"From: A <a{number}@b.example>\r\nSubject: Nieuwveen\r\n\r\n{text}\r\n".encode()


def gathered(folder: Path) -> dict[str, bool]:
    """The words of all letters in Parquet, an hour apart; returns what each is."""
    assessor = Assessor(None, {})
    labels, found = {}, []
    for number, (name, is_bad, content) in enumerate(letters()):
        [result] = assessor.assess([ContentRequest(content, "a@b.example", "h.example", 0.0)])
        found.append((name, (START + timedelta(hours=number)).timestamp(), result.learned))
        labels[name] = is_bad

    async def note() -> None:
        log = WordLog(folder, "mw1", SystemClock())
        await log.start()
        for one in found:
            log.note(*one)
        await log.stop()

    asyncio.run(note())
    assert WordStore(folder).take_in() == MESSAGES
    return labels


def order(tmp_path: Path, labels: dict[str, bool]) -> Order:
    known = {
        name: KnownLabel(is_bad=is_bad, weight=1.0, origin="operator", account="shop")
        for name, is_bad in labels.items()
    }
    return Order(
        name="learnt",
        folder=str(tmp_path / "models" / "learnt"),
        words=str(tmp_path / "words"),
        active=str(find_model("shipped")),
        report=str(tmp_path / "report.json"),
        labels=known,
        texts=TEXTS,
    )


def test_a_candidate_learns_this_installations_mail_and_passes(tmp_path: Path) -> None:
    labels = gathered(tmp_path / "words")

    report = relearn(order(tmp_path, labels), START)

    assert report.ruling.passes, report.ruling.why
    assert (report.learnt, report.judged) == (112, 48)
    assert {one.name for one in report.ruling.slices} == {"all", "labels by operator", "account shop"}
    assert load(tmp_path / "models" / "learnt").card.name == "learnt"


def test_a_candidate_from_wrong_labels_is_refused(tmp_path: Path) -> None:
    labels = gathered(tmp_path / "words")
    rng = np.random.default_rng(3)

    report = relearn(order(tmp_path, {name: bool(rng.random() < 0.5) for name in labels}), START)

    assert not report.ruling.passes


def test_labels_of_one_kind_train_nothing(tmp_path: Path) -> None:
    labels = gathered(tmp_path / "words")

    report = relearn(order(tmp_path, dict.fromkeys(labels, True)), START)

    assert not report.ruling.passes
    assert "of one kind only" in report.ruling.why
    assert not (tmp_path / "models").exists()


class Relay:
    """Stands for the control API: notes what was promoted."""

    def __init__(self) -> None:
        self.promoted: list[str] = []

    @contextmanager
    def client(self) -> Iterator["Relay"]:
        yield self

    def promote_model(self, order: ModelOrder) -> ModelView:
        self.promoted.append(order.model)
        return ModelView(model=order.model)


def test_the_job_waits_for_labels_trains_once_and_promotes_where_wanted(room: Room, tmp_path: Path) -> None:
    labels = gathered(tmp_path / "words")
    settings = Settings(dir=tmp_path, analytics=Analytics(retrain_labels=MESSAGES, promote=True))
    journal = Journal(room.folder.path, "analytics", "mw1", SystemClock())
    journal.start()
    relay = Relay()
    job = Retraining(
        settings, room.warehouse, journal, SystemClock(), lambda: cast(ControlClient, relay.client()), TEXTS
    )
    story = Story()

    def said(names: list[str]) -> list[Label]:
        return [
            Label(**story.stamp(), **story.whose(int(name[4:])), label="spam" if labels[name] else "ham",
                  origin="operator", weight=1.0, author="dana")
            for name in names
        ]  # fmt: skip

    names = [*labels]
    room.bring(*said(names[:-1]))
    too_early = job.run()
    room.bring(*said(names[-1:]), name="relay-mw1-a-00000002")
    told = job.run()
    journal.close()
    [path] = room.folder.path.glob("analytics-*.jsonl")
    run = decode(path.read_bytes().splitlines()[0])
    room.ingest.run()
    again = job.run()

    assert (too_early, again) == ("", "")
    assert ": passes, surely better on all" in told
    assert isinstance(run, ModelRun)
    assert run.passes
    assert relay.promoted == [run.model]
    assert read_card(tmp_path / "models" / run.model).name == run.model
    assert room.rows("SELECT model, passes, judged FROM model_run") == [(run.model, True, 48)]
    assert msgspec.json.decode((tmp_path / "models" / f"{run.model}.report.json").read_bytes())["learnt"] == 112
    assert (tmp_path / "models" / run.model / CARD).is_file()


def test_old_candidates_are_deleted_but_none_that_is_in_use_or_to_go_back_to(room: Room, tmp_path: Path) -> None:
    settings = Settings(dir=tmp_path, analytics=Analytics(keep_models=2))
    names = [f"learnt-2026110{day}T000000" for day in range(1, 7)]
    for name in [*names, "own-choice"]:
        (tmp_path / "models" / name).mkdir(parents=True)
        (tmp_path / "models" / f"{name}.report.json").touch()
    (tmp_path / "models" / names[3]).rmdir()  # refused before training: a report alone
    remember(
        settings,
        Promotion(model=names[1], over="shipped", since_at=START, author="dana", before=["shipped", names[0]]),
    )
    journal = Journal(room.folder.path, "analytics", "mw1", SystemClock())
    journal.start()
    job = Retraining(settings, room.warehouse, journal, SystemClock(), lambda: cast(ControlClient, None), TEXTS)
    job.train(datetime(2026, 11, 7, tzinfo=UTC))  # without labels: nothing but a report
    journal.close()

    left = {path.name for path in (tmp_path / "models").iterdir() if path.is_dir()}

    assert left == {names[0], names[1], names[5], "own-choice"}
    reports = {path.name for path in (tmp_path / "models").glob("*.report.json")}
    assert reports == {f"{name}.report.json" for name in [*left, "learnt-20261107T000000"]}
