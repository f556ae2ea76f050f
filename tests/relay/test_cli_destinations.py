"""`dest` and `shaping` the way a person types them; every undo line undoes, and what is in force survives a restart."""

import json
import shlex
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from relay.account import Account
from relay.cli import run
from relay.control.shaping.cli import _quiet
from relay.control.shaping.views import RulesView, RuleView
from relay.delivery.shaping.providers import load_providers
from relay.settings import Delivery
from tests.builders import Installation, until
from tests.sink import Manner, Sink

Say = Callable[[str], tuple[int, str]]


@pytest.fixture
def sink() -> Iterator[Sink]:
    with Sink() as sink:
        yield sink


@pytest.fixture
def site(tmp_path: Path, sink: Sink, monkeypatch: pytest.MonkeyPatch) -> Installation:
    installation = Installation(tmp_path)
    installation.write(sink.port, model="none")
    installation.add_account(Account("acme", domains=("acme.example",)), login="web")
    monkeypatch.setenv("MAILWEIR_CONFIG", str(installation.config))
    return installation


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Say:
    """Run one command line; gives exit code and what it printed."""

    def run_one(line: str) -> tuple[int, str]:
        capsys.readouterr()
        code = run(shlex.split(line))
        shown = capsys.readouterr()
        return code, shown.out + shown.err

    return run_one


def answer(result: tuple[int, str]) -> Any:
    code, text = result
    assert code == 0, text
    return json.loads(text)


def in_force(say: Say) -> list[tuple[str, str, str, float, str]]:
    return sorted(
        (view["destination"], effect["source"], effect["kind"], effect["value"], effect["reply"])
        for view in answer(say("dest ls --json"))
        for effect in view["effects"]
    )


def undo_of(text: str) -> str:
    last = text.splitlines()[-1]
    assert last.startswith("undo: mailweir "), text
    return last.removeprefix("undo: mailweir ")


@pytest.mark.parametrize(
    "line",
    [
        "dest suspend yahoo --reason 'they called'",
        "dest suspend yahoo --source mta1 --minutes 90 --reason x",
        "dest override outlook --connections 2 --reason agreed",
        "dest override outlook --per-minute 30 --connections 3 --source mta1 --minutes 60 --reason agreed",
        "dest override google --connections default --reason x",
        "dest resume apple",
    ],
)
def test_every_undo_line_takes_the_change_back(site: Installation, say: Say, line: str) -> None:
    with site.running():
        say("dest override google --connections 3 --per-minute 60 --reason agreed")
        say("dest suspend apple --reason 'they called' --minutes 600")
        before = in_force(say)
        assert len(before) == 3

        dry = say(f"{line} --dry-run")
        assert (dry[0], in_force(say)) == (0, before)
        assert "would " in dry[1]
        code, told = say(line)
        assert code == 0, told
        assert in_force(say) != before

        assert say(undo_of(told))[0] == 0
        assert in_force(say) == before


def test_what_is_in_force_is_shown_and_survives_a_restart(site: Installation, sink: Sink, say: Say) -> None:
    with site.running():
        assert say("send-test ann@b.example --from desk@acme.example")[0] == 0
        ((name, counts),) = ((view["destination"], view) for view in answer(say("dest ls --json")))
        assert (counts["delivered"], counts["provider"]) == (1, "default")
        assert say(f"dest suspend {name} --source mta9 --reason 'they called'")[0] == 0
        assert "note: no mail went to gogle" in say("dest suspend gogle --reason typo")[1]
        assert say("dest show never.example")[0] == 1
    with site.running():
        code, shown = say(f"dest show {name}")
        assert code == 0, shown
        assert [
            word for word in ("mta9", "suspend", "they called", "resumed", "10 connections") if word not in shown
        ] == []
        assert say(f"dest resume {name}")[0] == 0
        assert "nothing to end" in say(f"dest resume {name}")[1]


def test_a_refusal_at_the_greeting_is_seen_with_its_rule(site: Installation, say: Say) -> None:
    said = "421 4.7.0 Messages from 127.0.0.1 temporarily deferred due to unexpected volume"
    with Sink(Manner(greeting=said.encode() + b"\r\n")) as rude:
        site.write(rude.port, model="none")
        with site.running():
            assert say("send-test ann@b.example --from desk@acme.example --wait 1")[0] == 1

            until(lambda: len(in_force(say)) == 2)
            _, shown = say(f"dest show {in_force(say)[0][0]}")
            wanted = ("rate 1/min", "connections 1", "default/deferred", said, "default")
            assert [word for word in wanted if word not in shown] == [], shown
            with site.client() as relay:
                matched = {rule.id for rule in relay.shaping_rules().rules if rule.matched_at}
            assert matched == {"default/deferred"}


def test_the_table_is_checked_without_a_relay(site: Installation, say: Say, tmp_path: Path) -> None:
    mine = tmp_path / "mine.toml"
    mine.write_text("[provider.yahoo]\nconnections = 3\n")

    code, told = say(f"shaping validate {mine}")
    assert code == 0, told
    assert "all can fire" in told
    assert "does not answer" in told
    assert answer(say("shaping validate --json"))["quiet"] is None

    mine.write_text("[provider.gmail]\nconnections = 3\n")
    code, told = say(f"shaping validate {mine}")
    assert code == 1
    assert [word for word in ("mine.toml", "gmail", "no suffixes") if word not in told] == []


def test_a_relay_with_a_wrong_table_does_not_start(site: Installation, tmp_path: Path) -> None:
    mine = tmp_path / "mine.toml"
    mine.write_text("[[provider.yahoo.rule]]\nid = 'mine'\n")
    with site.config.open("a") as config:
        config.write(f'providers = "{mine}"\n')

    assert site.start().wait(30) == 1

    said = (tmp_path / "process.log").read_text()
    assert [word for word in ("mine.toml", "rule yahoo/mine", "example is missing") if word not in said] == []


def test_a_changed_table_is_taken_up_by_a_reload_and_a_wrong_one_is_not(
    site: Installation, say: Say, tmp_path: Path
) -> None:
    mine = tmp_path / "mine.toml"
    mine.write_text("")
    with site.config.open("a") as config:
        config.write(f'providers = "{mine}"\n')
    with site.running():

        def connections() -> int:
            return int(answer(say("dest show yahoo --json"))["connections"])

        assert connections() == 10
        mine.write_text("[provider.yahoo]\nconnections = 3\n")
        assert say("reload")[0] == 0
        assert connections() == 3
        mine.write_text("[provider.yahoo]\nconnections = 'many'\n")
        assert "mine.toml" in say("reload")[1]
        assert connections() == 3


def test_rules_that_matched_nothing_for_long_are_named() -> None:
    providers, now = load_providers(None, Delivery()), datetime.now(UTC)
    ids = [rule.id for rule in providers.rules()]
    matched = {ids[0]: now - timedelta(days=29), ids[1]: now - timedelta(days=31)}
    rules = [RuleView(id=rule_id, matched_at=matched.get(rule_id)) for rule_id in ids]

    assert _quiet(providers, RulesView(since_at=now - timedelta(days=40), rules=rules)) == ids[1:]
    assert _quiet(providers, RulesView(since_at=now - timedelta(days=20), rules=rules)) is None
    assert _quiet(providers, RulesView(since_at=None, rules=rules)) is None
    assert _quiet(providers, None) is None
