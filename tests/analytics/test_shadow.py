"""A candidate scores the mail of the last days beside the model in use; what differs is shown, nothing is changed."""

import asyncio
import json
import shutil
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from analytics.learning.shadow import Shadow, Span, shadow
from analytics.learning.words import WordStore
from relay.cli import run
from relay.clock import SystemClock
from relay.content.assess import Assessor
from relay.content.model import Model, load
from relay.content.model_files import CARD, find_model
from relay.content.protocol import ContentRequest
from relay.spool.words import WordLog

NOON = datetime.now(UTC).replace(microsecond=0) - timedelta(days=3)
LURE = (
    "Your account has been suspended. Verify your password within 24 hours at http://203.0.113.9/login or it will be "
    "closed. Click here to confirm your bank details, dear customer, and claim your prize money now!!!"
)
NOTE = "Shall we move the meeting about the quarterly report to Tuesday at ten? The draft of chapter two is attached."
SINCE = NOON.date()
LINES = (0.5, 0.9, 0.99)


def keep(folder: Path, texts: list[str], version: int | None = None) -> list[float]:
    """Words of so many messages, an hour apart, as relay and analytics keep them; returns the scores they got."""
    assessor = Assessor(load(find_model("shipped")), {})
    requests = [
        ContentRequest(f"From: a@b.example\r\nSubject: hello\r\n\r\n{text} {number}\r\n".encode(), "", "h", 0.0)
        for number, text in enumerate(texts)
    ]
    results = assessor.assess(requests)

    async def note() -> None:
        log = WordLog(folder, "mw1", SystemClock())
        await log.start()
        for number, result in enumerate(results):
            learned = result.learned if version is None else bytes([version]) + result.learned[1:]
            log.note(f"mw1.{number}", (NOON + timedelta(hours=number)).timestamp(), learned)
        await log.stop()

    asyncio.run(note())
    WordStore(folder).take_in()
    return [result.score or 0.0 for result in results]


def shifted(folder: Path, by: float) -> Path:
    """The shipped model with other log odds: it finds more, or less, of everything."""
    shutil.copytree(find_model("shipped"), folder)
    card = json.loads((folder / CARD).read_text())
    (folder / CARD).write_text(json.dumps(card | {"name": folder.name, "intercept": card["intercept"] + by}))
    return folder


def compare(words: Path, candidate: Model, most: int = 1000, since: date = SINCE) -> Shadow:
    span = Span(since=since, most=most, shown=3, lines=LINES)
    return shadow(WordStore(words), candidate, load(find_model("shipped")), span)


def test_both_score_from_kept_words_as_the_relay_did_from_the_mail(tmp_path: Path) -> None:
    scores = keep(tmp_path / "words", [LURE, NOTE])

    found = compare(tmp_path / "words", load(shifted(tmp_path / "milder", -4.0)))

    assert (found.kept, found.judged, found.unread) == (2, 2, 0)
    assert found.candidate.startswith("milder-")
    assert {one.message_id: one.active for one in found.moved}["mw1.0"] == scores[0]
    assert all(one.candidate < one.active for one in found.moved)


def test_what_only_one_of_them_would_hold_is_counted_line_by_line(tmp_path: Path) -> None:
    [bad, good] = keep(tmp_path / "words", [LURE, NOTE])
    log_odds = np.log(bad / (1 - bad))
    above, below = (load(shifted(tmp_path / name, by - log_odds)) for name, by in (("above", 9.0), ("below", -9.0)))

    keener, milder = compare(tmp_path / "words", above), compare(tmp_path / "words", below)

    for p, one, other in zip(LINES, keener.lines, milder.lines, strict=True):
        assert (one.p, one.both, one.only_active) == (p, int(bad >= p), 0)
        assert one.only_candidate >= (bad < p)
        assert (other.both, other.only_active, other.only_candidate) == (0, int(bad >= p), 0)
    assert good < min(LINES)


def test_the_same_model_differs_in_nothing(tmp_path: Path) -> None:
    keep(tmp_path / "words", [LURE, NOTE])

    found = compare(tmp_path / "words", load(find_model("shipped")))

    assert found.moved == []
    assert [(one.only_active, one.only_candidate) for one in found.lines] == [(0, 0)] * 3


def test_of_much_mail_an_even_share_is_scored_and_older_days_and_other_versions_are_not(tmp_path: Path) -> None:
    keep(tmp_path / "words", [NOTE] * 50)
    candidate = load(shifted(tmp_path / "keener", 12.0))

    part = compare(tmp_path / "words", candidate, most=20)
    later = compare(tmp_path / "words", candidate, since=NOON.date() + timedelta(days=9))
    keep(tmp_path / "old", [NOTE], version=1)
    old = compare(tmp_path / "old", candidate)

    assert (part.kept, part.judged) == (50, 17)  # each third, through all days
    assert len(part.moved) == 3
    assert (later.kept, later.judged) == (0, 0)
    assert (old.kept, old.judged, old.unread) == (1, 0, 1)


@pytest.fixture
def say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    config = tmp_path / "mailweir.toml"
    config.write_text(f'dir = "{tmp_path}"\n')
    monkeypatch.setenv("MAILWEIR_CONFIG", str(config))

    def run_one(*arguments: str, code: int = 0) -> str:
        capsys.readouterr()
        answer = run(arguments)
        shown = capsys.readouterr()
        assert answer == code, shown.err
        return shown.out + shown.err

    return run_one


def test_the_command_shows_lines_and_largest_differences_and_json(tmp_path: Path, say: Callable[..., str]) -> None:
    keep(tmp_path / "words", [LURE, NOTE])
    shifted(tmp_path / "models" / "keener", 12.0)

    shown = say("model", "shadow", "keener")
    data = json.loads(say("model", "shadow", "keener", "--json"))
    unknown = say("model", "shadow", "nobody", code=1)

    assert "2 messages since" in shown
    assert "hold, p >= 0.9" in shown
    assert "mw1.1" in shown
    assert data["lines"][1]["only_candidate"] >= 1
    assert unknown == "Error: there is no model 'nobody' here; `mailweir model ls` names them\n"


def test_without_kept_words_the_command_says_what_must_be_on(tmp_path: Path, say: Callable[..., str]) -> None:
    assert "content.keep_words" in say("model", "shadow", "shipped")
