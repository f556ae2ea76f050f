"""`mailweir simulate`: small worlds played against the pure policy, and the arithmetic of the score sheet."""

import itertools
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import msgspec
import pandas as pd
import pytest
from click.testing import CliRunner

from analytics.learning.corpus import CorpusError
from analytics.simulation.population import Kind
from analytics.simulation.trial.bag import Bag
from analytics.simulation.trial.cli import simulate
from analytics.simulation.trial.engine import play
from analytics.simulation.trial.mail import Actor, Mail, Text, World
from analytics.simulation.trial.peers import Fixed, Panel, Ratio
from analytics.simulation.trial.pure import MailweirPolicy
from analytics.simulation.trial.regulator import Regulator
from analytics.simulation.trial.run import Plan, run
from analytics.simulation.trial.scenarios import SCENARIOS
from analytics.simulation.trial.summary import Pauses
from analytics.simulation.trial.targets import findings
from analytics.simulation.trial.wire import play_on_wire
from analytics.simulation.world import EndSender
from relay.account import Account
from relay.content.protocol import ContentResult
from relay.events import Features

_START = 1_780_272_000.0


@pytest.fixture(scope="module")
def bag() -> Bag:
    return Bag()


def _world(mails: list[Mail]) -> World:
    abused = frozenset(mail.actor.key for mail in mails if mail.is_abusive)
    actors = list({mail.actor.key: mail.actor for mail in mails}.values())

    def read() -> Iterator[Mail]:
        return iter(mails)

    return World("small", _START, 3.0, actors, read, mails[0].at, abused)


def _actor(box: str, account: str = "acme") -> Actor:
    address = f"{box}@{account}.example"
    end = EndSender(f"{account}|mailfrom|{address}", box, f"{account}.example", address, "en", ())
    return Actor(Account(account), end, "192.0.2.1")


def _text(score: float, number: int = 0) -> Text:
    result = ContentResult(
        score=score, model="m", reasons=[], features=Features(), prefix=b"", subject="", header_from="",
        header_message_id="", fingerprint=f"{number:016x}-{number:08x}{number:08x}{number:08x}{number:08x}",
    )  # fmt: skip
    return Text(b"", result)


def _mails(actor: Actor, scores: list[float], *, abusive: bool, dead: bool = False) -> list[Mail]:
    return [
        Mail(
            at=_START + 3_600 + 10.0 * number,
            actor=actor,
            recipient=f"p{number}@gmail.example",
            text=_text(score, number),
            is_abusive=abusive,
            is_dead=dead,
            latency=1.0,
            reported_after=0.0 if dead else None,
            client_ip="192.0.2.1",
        )
        for number, score in enumerate(scores)
    ]


def _later(mails: list[Mail], days: int) -> list[Mail]:
    for mail in mails:
        mail.at += days * 86_400
    return mails


# ---- worlds ----


def test_hacked_plugin_is_stopped_and_no_neighbour_is(bag: Bag) -> None:
    summary = run(SCENARIOS["hacked-plugin"], Plan([1, 2], days=3.0), bag, lambda what, share: None)[0]

    assert summary.stopped_seeds == 2
    assert summary.before_stop.worst <= 20
    assert summary.held_for_others == summary.refused == summary.pauses.paused == 0
    assert summary.p95 <= summary.p95_calm + 1


def test_honest_sites_are_not_stopped(bag: Bag) -> None:
    summary = run(SCENARIOS["small-shop"], Plan([1, 2], days=5.0), bag, lambda what, share: None)[0]

    assert summary.messages > 3_000
    assert summary.pauses.paused == summary.refused == 0


def test_same_seed_makes_the_same_sheet_and_another_seed_another(bag: Bag) -> None:
    def sheet(seed: int) -> object:
        world = SCENARIOS["bought-list"].world(seed, bag, 1.0)
        return play(world, MailweirPolicy(world))

    assert sheet(1) == sheet(1)
    assert sheet(1) != sheet(2)


@pytest.mark.parametrize("name", SCENARIOS)
def test_each_scenario_has_mail_in_the_order_of_time_of_its_kind(name: str, bag: Bag) -> None:
    scenario = SCENARIOS[name]
    world = scenario.world(3, bag, 3.0)
    mails = list(itertools.islice((mail for mail in world.mails() if mail.at > world.attack_at - 3_600), 3_000))

    assert len(mails) > 100
    assert all(first.at <= second.at for first, second in itertools.pairwise(mails))
    assert any(mail.is_abusive for mail in mails) == scenario.is_attack
    assert bool(world.abused) == scenario.is_attack
    assert scenario.about


# ---- engine and sheet ----


def test_mail_that_is_on_its_way_when_its_sender_is_stopped_is_not_delivered() -> None:
    spam = _mails(_actor("bad"), [0.95] * 12, abusive=True)
    quick = _mails(_actor("bad"), [0.1], abusive=True)
    quick[0].at, quick[0].latency = spam[-1].at + 1, 1.0
    slow = _mails(_actor("bad"), [0.1], abusive=True)
    slow[0].at, slow[0].latency = spam[0].at - 1, 1_000.0
    world = _world([*slow, *spam, *quick])

    sheet = play(world, MailweirPolicy(world))

    assert sheet.abuse.stopped == 1
    assert sheet.abuse.before_stop == 0
    assert sheet.abuse.accepted == 1


def test_mail_of_others_is_delivered_meanwhile() -> None:
    spam = _mails(_actor("bad"), [0.95] * 12, abusive=True)
    ham = _mails(_actor("good"), [0.01] * 12, abusive=False)
    world = _world(sorted([*spam, *ham], key=lambda mail: mail.at))

    sheet = play(world, MailweirPolicy(world))

    assert sheet.innocent.sent == sheet.innocent.delivered == 12
    assert sheet.innocent.paused == sheet.innocent.held == 0


def test_stop_of_a_sender_without_abuse_is_a_wrong_pause() -> None:
    misread = _mails(_actor("good"), [0.95] * 12, abusive=False)
    world = _world(misread)

    sheet = play(world, MailweirPolicy(world))

    assert sheet.innocent.paused == 1
    assert sum(sheet.pauses.values()) == 1
    assert sheet.abuse.senders == 0


@pytest.mark.parametrize(("peer", "is_stopped"), [(Panel, True), (Ratio, False), (Fixed, False)])
def test_peers_stop_what_their_rule_says(peer: type[Panel | Ratio | Fixed], *, is_stopped: bool) -> None:
    dead = _mails(_actor("bad"), [0.1] * 20, abusive=True, dead=True)
    world = _world(dead)
    regulator: Regulator = peer(world)

    sheet = play(world, regulator)

    assert bool(sheet.abuse.stopped) == is_stopped  # 20 of 20 bounce: enough for five fails, too few for n = 50


def test_interval_of_no_pause_in_3700_sender_months_is_below_one_in_a_thousand() -> None:
    assert Pauses(0, 3_700.0).per_thousand[2] < 1.0  # 1 - 0.025 ** (1 / 3700), Clopper and Pearson
    assert Pauses(0, 3_600.0).per_thousand[2] > 1.0


def test_target_that_is_missed_is_told(bag: Bag) -> None:
    summary = run(SCENARIOS["bought-list"], Plan([1], days=1.0), bag, lambda what, share: None)[0]
    worse = replace(summary, bounces=replace(summary.bounces, worst=41))

    assert [one.is_met for one in findings([summary]) if "bounces" in one.what] == [True]
    assert [one.is_met for one in findings([worse]) if "bounces" in one.what] == [False]


# ---- the real relay ----


def test_same_small_world_ends_alike_on_the_wire_and_in_the_pure_policy(bag: Bag) -> None:
    bad, good = _actor("bad"), _actor("good", "other")
    dice = random.Random(1)
    spam = _mails(bad, [0.99] * 15, abusive=True)
    ham = _mails(good, [0.01] * 15, abusive=False)
    for mail in spam:
        mail.text = bag.abusive(dice, bad, 1)[0]
    for mail in ham:
        mail.text = bag.honest(dice, replace(good, end=replace(good.end, kinds=(Kind.ORDER,))), 1)[0]
    dead = _mails(good, [0.01], abusive=False, dead=True)
    dead[0].recipient, dead[0].text = "gone.p@gmail.example", ham[0].text
    world = replace(_world(sorted([*spam, *ham, *dead], key=lambda mail: mail.at)), days=0.06)

    on_wire, pure = play_on_wire(world), play(world, MailweirPolicy(world))

    assert on_wire.abuse.stopped == pure.abuse.stopped == 1
    assert on_wire.abuse.rule == pure.abuse.rule
    assert on_wire.abuse.before_stop == pure.abuse.before_stop
    assert on_wire.innocent.sent == 16
    assert on_wire.innocent.delivered == pure.innocent.delivered == 15
    assert on_wire.innocent.held == on_wire.innocent.paused == 0


def test_days_on_the_wire_with_a_hijack_in_their_middle_end_as_in_the_pure_policy(bag: Bag) -> None:
    bad, good = _actor("bad"), _actor("good", "other")
    dice = random.Random(2)
    spam = _mails(bad, [0.99] * 12, abusive=True)
    for mail in spam:
        mail.at += 86_400
        mail.text = bag.abusive(dice, bad, 1)[0]
    invoice = bag.honest(dice, replace(good, end=replace(good.end, kinds=(Kind.INVOICE,))), 1)[0]
    monthly = [mail for day in (0, 2) for mail in _later(_mails(good, [0.01] * 8, abusive=False), day)]
    for mail in monthly:
        mail.text = invoice
    world = replace(_world(sorted([*spam, *monthly], key=lambda mail: mail.at)), days=3.0)

    on_wire, pure = play_on_wire(world), play(world, MailweirPolicy(world))

    assert replace(on_wire.abuse, seconds=0.0) == replace(pure.abuse, seconds=0.0)
    assert on_wire.abuse.stopped == 1
    assert replace(on_wire.innocent, p95_seconds=0.0) == replace(pure.innocent, p95_seconds=0.0)
    assert on_wire.innocent.delivered == 16


def test_a_world_without_mail_is_played_on_the_wire_too(bag: Bag) -> None:
    world = SCENARIOS["monthly-invoices"].world(1, bag, 1.0)  # whose first invoices leave on the second day

    sheet = play_on_wire(world)

    assert sheet.innocent.sent == 0


# ---- texts ----


def test_honest_text_is_misread_as_often_as_the_card_says(bag: Bag) -> None:
    dice, ham = random.Random(1), _text(0.01)

    scores = [bag.misread(dice, ham).score for _ in range(200_000)]

    line = bag.lines[0]
    assert line.p == 0.5
    assert 0.9 < sum(score >= 0.5 for score in scores) / 200_000 / line.false_positive_rate < 1.1


def test_corpus_gives_only_mail_the_model_has_not_learnt(tmp_path: Path) -> None:
    rows = [
        ("a", "ham", "sa-easy-ham", b"Subject: known\n\nknown"),
        ("b", "ham", "marketing-html-wrapped", b"Subject: sale\n\nnew shoes"),
        ("c", "phish", "phishing_pot", b"Subject: pay\n\nverify your account now"),
    ]
    pd.DataFrame(rows, columns=["id", "label", "source", "raw"]).to_parquet(tmp_path / "c.parquet")

    corpus = Bag(corpus=tmp_path / "c.parquet").corpus

    assert corpus is not None
    assert [text.raw for text in corpus.ham] == [b"Subject: sale\r\n\r\nnew shoes"]
    assert [text.raw for text in corpus.bad] == [b"Subject: pay\r\n\r\nverify your account now"]


def test_corpus_without_new_mail_is_refused(tmp_path: Path) -> None:
    rows = [("a", "ham", "sa-easy-ham", b"Subject: known\n\nknown")]
    pd.DataFrame(rows, columns=["id", "label", "source", "raw"]).to_parquet(tmp_path / "c.parquet")

    with pytest.raises(CorpusError, match="has not learnt"):
        Bag(corpus=tmp_path / "c.parquet")


# ---- command ----


def test_command_prints_json_of_worlds_and_targets() -> None:
    result = CliRunner().invoke(simulate, ["bought-list", "--seed", "1", "--days", "1", "--peers", "--json"])

    told = msgspec.json.decode(result.stdout)
    assert result.exit_code == 0
    assert told["worlds"][0]["regulator"] == "mailweir"
    assert len(told["worlds"]) == 5
    assert {one["what"] for one in told["targets"]} >= {"hard bounces before the stop, worst seed"}


def test_command_shows_the_score_sheet() -> None:
    result = CliRunner().invoke(simulate, ["bought-list", "--seed", "1", "--days", "1"], env={"COLUMNS": "200"})

    assert result.exit_code == 0
    assert "hard_bounce_rate" in result.stdout


def test_unknown_scenario_is_named_and_the_list_pointed_at() -> None:
    result = CliRunner().invoke(simulate, ["hurricane"])

    assert result.exit_code == 2
    assert "simulate list" in result.output
