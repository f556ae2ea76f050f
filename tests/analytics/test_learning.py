"""Learning a model: from which mail, what comes out, and the commands."""

import random
from datetime import UTC, datetime
from email import message_from_bytes
from email.policy import default
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

from analytics.learning.cli import model
from analytics.learning.corpus import OWN, OWN_TERMS, SOURCES, CorpusError, Example, read_file
from analytics.learning.crew import Crew
from analytics.learning.reading import sampled
from analytics.learning.texts import compose, texts
from analytics.learning.training import probabilities, save, train
from relay.content.model import load
from relay.content.model_files import Source

COLUMNS = ["id", "label", "source", "split", "raw"]


def corpus(folder: Path, *rows: tuple[str, str, str]) -> Path:
    path = folder / "corpus.parquet"
    frame = pd.DataFrame([(*row, "train", b"Subject: x\n\ntext\n") for row in rows], columns=COLUMNS)
    frame.to_parquet(path)
    return path


def test_mail_that_must_not_train_a_shipped_model_does_not(tmp_path: Path) -> None:
    path = corpus(
        tmp_path,
        ("1", "spam", "sa-spam"),
        ("2", "phish", "phishing_pot"),
        ("tpl/sendgrid/a", "ham", "template-html-dev"),
        ("tpl/other/b", "ham", "template-html-dev"),
        ("5", "ham", "never heard of"),
    )

    shipped = [example.source for example in read_file(path, everything=False)]
    everything = [example.source for example in read_file(path, everything=True)]

    assert shipped == ["sa-spam", "template-html-dev"]
    assert len(everything) == 5


def test_a_corpus_that_is_none_is_refused_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="no such file"):
        list(read_file(tmp_path / "missing.parquet", everything=False))
    (tmp_path / "text").write_text("x")
    with pytest.raises(CorpusError, match="not a corpus"):
        list(read_file(tmp_path / "text", everything=False))


def test_our_own_texts_are_many_and_each_becomes_a_sound_message() -> None:
    for text in texts():
        message = message_from_bytes(compose(text, random.Random(text.id)), policy=default)
        body = message.get_body(("plain", "html"))

        assert body is not None
        content = body.get_content()
        assert len(content) > 20 or text.attachment or text.id == "test-mail"
        assert not {"{", "["} & set(str(message["Subject"]))
        assert "@" in str(message["From"])

    assert len({text.id for text in texts()}) == len(texts()) > 100


def test_the_same_seed_gives_the_same_text() -> None:
    text = texts()[0]

    first, second, other = (compose(text, random.Random(seed)) for seed in (1, 1, 2))

    assert message_from_bytes(first)["Subject"] == message_from_bytes(second)["Subject"]
    assert first[:200] != other[:200]


def test_a_trained_model_is_written_loads_and_tells_apart_what_it_learnt(tmp_path: Path) -> None:
    examples = [
        Example(compose(text, random.Random(copy)), text.is_bad, OWN, f"part-{number % 2}", "train", text.id)
        for number, text in enumerate(texts())
        for copy in range(2)
    ]
    steps: list[str] = []
    crew = Crew(step=lambda what, done, total: steps.append(what))
    samples = sampled(examples, crew)

    trained = train(samples, "small", datetime(2026, 11, 24, tzinfo=UTC), crew)
    card = save(trained, tmp_path / "small")
    p = probabilities(load(tmp_path / "small"), samples)

    assert card == load(tmp_path / "small").card
    bad = 2 * sum(text.is_bad for text in texts())
    assert card.sources == [Source(name=OWN, terms=OWN_TERMS, bad=bad, ham=len(examples) - bad)]
    assert [figures.name for figures in card.figures] == ["each origin left out"]
    assert p[samples.is_bad].mean() > 0.6
    assert p[~samples.is_bad].mean() < 0.05
    assert {"reading mail", "learning", "judging"} == set(steps)


def test_the_share_of_bad_mail_is_read_off_the_scores_themselves(tmp_path: Path) -> None:
    mails = {
        "bad": "Subject: pills\n\nBuy cheap viagra without prescription now, guaranteed lowest price\n",
        "good": "Subject: minutes\n\nHi all, here are the minutes of the meeting. Thanks, Ben\n",
    }
    for name, text in mails.items():
        (tmp_path / name).write_text(text)
    names = ["bad"] * 3 + ["good"] * 17

    result = CliRunner().invoke(
        model, ["score", "--prior", "auto"], input="".join(f"{tmp_path / name}\n" for name in names)
    )
    refused = CliRunner().invoke(model, ["score", "--prior", "2"], input="")
    share = float(result.stderr.rpartition(" ")[2])

    assert share == pytest.approx(0.15, abs=0.02)
    assert sum(map(float, result.stdout.split())) / len(names) == pytest.approx(share, abs=0.01)
    assert refused.exit_code == 2
    assert "between 0 and 1" in refused.output


def test_scores_are_printed_one_a_line_in_order(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.eml", tmp_path / "bad.eml"
    good.write_bytes(b"Subject: minutes\n\nHi all, here are the minutes of the meeting. Thanks, Ben\n")
    bad.write_bytes(b"Subject: pills\n\nBuy cheap viagra without prescription now, guaranteed lowest price\n")

    result = CliRunner().invoke(model, ["score"], input=f"{bad}\n{good}\n{bad}\n")
    scores = [float(line) for line in result.output.splitlines()]

    assert scores[0] == scores[2] > 0.9 > 0.2 > scores[1]


def test_a_missing_message_or_model_is_a_clear_error() -> None:
    missing = CliRunner().invoke(model, ["score"], input="/no/such/file\n")
    unknown = CliRunner().invoke(model, ["show", "nosuch"])

    assert "/no/such/file: No such file" in missing.output
    assert "mailweir model train --name nosuch" in unknown.output
    assert (missing.exit_code, unknown.exit_code) == (1, 1)


def test_the_card_shows_sources_terms_and_figures() -> None:
    shown = CliRunner().invoke(model, ["show"]).output

    for expected in ("PDDL-1.0", "each origin left out", "false positives", "p >= 0.9"):
        assert expected in shown


def test_every_source_says_its_terms() -> None:
    assert all(terms.text and terms.origin for terms in SOURCES.values())
