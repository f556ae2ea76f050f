"""The table of providers: every rule fires on its own example, and a table that cannot work does not start."""

import re
from pathlib import Path

import pytest

from relay.delivery.shaping.providers import Providers, load_providers
from relay.delivery.shaping.rules import Kind, ShapingRule
from relay.settings import Delivery, SettingsError

PROVIDERS = load_providers(None, Delivery())
OWN = [(row.name, rule) for row in PROVIDERS.all() for rule in row.rules if rule.id.startswith(f"{row.name}/")]


def overlaid(tmp_path: Path, text: str, settings: Delivery | None = None) -> Providers:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    return load_providers(path, settings or Delivery())


def firing(rules: tuple[ShapingRule, ...], line: str) -> list[str]:
    """The ids that match, up to the first immediate one."""
    found = []
    for rule in rules:
        if rule.matches(line):
            found.append(rule.id)
            if rule.is_immediate:
                break
    return found


@pytest.mark.parametrize(("provider", "rule"), OWN, ids=[rule.id for _, rule in OWN])
def test_each_rule_fires_on_its_example_and_on_no_other_of_its_provider(provider: str, rule: ShapingRule) -> None:
    own = [other for name, other in OWN if name == provider]

    assert firing(PROVIDERS.named(provider).rules, rule.example)[0] == rule.id
    others = [other.id for other in own if other is not rule and rule.matches(other.example)]
    assert others == (["comcast/rl000010"] if rule.id == "comcast/rl0000" else [])  # decided before it, on purpose


@pytest.mark.parametrize(
    ("exchanges", "name"),
    [
        (["gmail-smtp-in.l.google.com", "alt1.gmail-smtp-in.l.google.com"], "google"),
        (["aspmx.l.google.com", "aspmx2.googlemail.com"], "google"),
        (["mta5.am0.yahoodns.net."], "yahoo"),
        (["hotmail-com.olc.protection.outlook.com"], "outlook"),
        (["acme-example.mail.protection.outlook.com"], "office365"),
        (["acme-example.k-v1.mx.microsoft"], "office365"),
        (["mx01.mail.icloud.com"], "apple"),
        (["mx1.mail.yahoo.co.jp"], "yahoo.co.jp"),
        (["aspmx.l.google.com", "backup.acme.example"], "default"),
        (["aspmx.l.google.com", "mx01.mail.icloud.com"], "default"),
        (["notgoogle.com", "google.com"], "default"),
        (["mx.google.com.acme.example"], "default"),
        ([], "default"),
    ],
)
def test_a_provider_is_known_when_all_exchangers_are_its_own(exchanges: list[str], name: str) -> None:
    assert PROVIDERS.of(exchanges).name == name


def test_the_table_says_what_was_published() -> None:
    google, comcast = PROVIDERS.named("google"), PROVIDERS.named("comcast")
    everybody = PROVIDERS.named("acme.example")

    assert (google.connections_total, google.messages_per_connection, google.tls, google.manners) == (
        5,
        50,
        "required",
        "google",
    )
    assert (comcast.connections, comcast.messages_per_connection) == (25, 1000)
    assert PROVIDERS.named("yahoo.co.jp").messages_per_minute == 600
    assert (everybody.name, everybody.connections, everybody.messages_per_minute) == ("default", 10, None)
    assert load_providers(None, Delivery(connections=3)).named("yahoo").connections == 3
    (common,) = {rule.changes for rule in everybody.rules}
    assert [(change.kind, change.value) for change in common] == [(Kind.RATE, 1), (Kind.CONNECTIONS, 1)]
    assert {rule.duration_seconds for rule in everybody.rules} == {5400}


def test_the_operators_rows_win_by_name(tmp_path: Path) -> None:
    providers = overlaid(
        tmp_path,
        """
        [provider.yahoo]
        connections = 2
        [[provider.yahoo.rule]]
        id = "ts02"
        off = true
        [[provider.yahoo.rule]]
        id = "listed"
        example = "553 5.7.1 [BL21] Connections will not be accepted"
        text = '\\[BL21\\]'
        trigger = "immediate"
        effect = "suspend"
        duration = "1d"
        [[provider.yahoo.rule]]
        id = "mine"
        example = "421 4.7.0 go away for a while"
        text = "go away"
        trigger = "2/h"
        effect = "rate 30/h"
        duration = "10m"
        [provider.tiny]
        suffixes = [".mx.tiny.example"]
        messages = "1/min"
        new_connections = "6/h"
        tls = "none"
        """,
    )

    yahoo, tiny = providers.named("yahoo"), providers.of(["a.mx.tiny.example"])
    rules = {rule.id: rule for rule in yahoo.rules}
    assert (yahoo.connections, yahoo.messages_per_connection, yahoo.suffixes) == (2, 20, (".yahoodns.net",))
    assert yahoo.rules[0].id == "yahoo/mine"
    assert (rules["yahoo/mine"].threshold, rules["yahoo/mine"].changes[0].value) == (2, 0.5)
    assert (rules["yahoo/listed"].threshold, rules["yahoo/listed"].duration_seconds) == (1, 86_400)
    assert "yahoo/ts02" not in rules
    assert "yahoo/ts03" in rules
    assert (tiny.name, tiny.messages_per_minute, tiny.tls) == ("tiny", 1, "none")
    assert tiny.connections_per_minute == pytest.approx(0.1)


RULE = {
    "id": '"mine"',
    "example": '"421 4.7.0 go away for a while"',
    "text": '"go away"',
    "trigger": '"immediate"',
    "effect": '"suspend"',
    "duration": '"10m"',
}


def one_rule(provider: str = "yahoo", **changed: str) -> str:
    rows = "\n".join(f"{key} = {value}" for key, value in (RULE | changed).items() if value)
    return f"[[provider.{provider}.rule]]\n{rows}\n"


def test_the_example_in_the_documentation_runs(tmp_path: Path) -> None:
    text = (Path(__file__).resolve().parents[2] / "docs" / "shaping.md").read_text()
    (example,) = [block for block in re.findall(r"```toml\n(.*?)```", text, re.DOTALL) if "[provider." in block]

    providers = overlaid(tmp_path, example)

    assert "yahoo/ts03" not in {rule.id for rule in providers.named("yahoo").rules}
    assert providers.named("bigisp").rules[0].id == "bigisp/slow-down"


def test_a_good_rule_is_taken(tmp_path: Path) -> None:
    assert overlaid(tmp_path, one_rule()).named("yahoo").rules[0].id == "yahoo/mine"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (one_rule("gmail"), ["provider gmail", "no suffixes", "rule gmail/mine", "google"]),
        (one_rule(example='"421 4.7.0 stay"'), ["rule yahoo/mine", "does not match its own example", "421 4.7.0 stay"]),
        (one_rule(example='"250 go away"'), ["rule yahoo/mine", "example", "250 go away", "4yz"]),
        (one_rule(example='"go away"'), ["rule yahoo/mine", "example", "4yz"]),
        (one_rule(trigger='"0/h"'), ["rule yahoo/mine", "trigger", "0/h", "immediate"]),
        (one_rule(trigger='"often"'), ["rule yahoo/mine", "trigger", "often", "3/h"]),
        (one_rule(effect='"explode"'), ["rule yahoo/mine", "explode", "suspend"]),
        (one_rule(effect='"rate 0/min"'), ["rule yahoo/mine", "rate 0/min", "above 0"]),
        (one_rule(effect='"connections 0"'), ["rule yahoo/mine", "connections 0", "from 1"]),
        (one_rule(effect='"connections x"'), ["rule yahoo/mine", "connections x"]),
        (one_rule(effect="[]"), ["rule yahoo/mine", "effect"]),
        (one_rule(duration='"0m"'), ["rule yahoo/mine", "duration", "0m", "15m"]),
        (one_rule(text='"("'), ["rule yahoo/mine", "regular expression"]),
        (one_rule(text='"x*"'), ["rule yahoo/mine", "every reply"]),
        (one_rule(colour='"red"'), ["rule yahoo/mine", "unknown key 'colour'"]),
        (one_rule(trigger=""), ["rule yahoo/mine", "trigger is missing"]),
        (one_rule(id='"Mine"'), ["yahoo/Mine", "lower-case"]),
        (one_rule() + one_rule(), ["rule yahoo/mine", "two of that id"]),
        (
            one_rule(example='"421 4.7.0 [TSS04] any"', text='"\\\\[TS"'),
            ["rule yahoo/", "can never fire", "yahoo/mine stands before it"],
        ),
        ('[[provider.yahoo.rule]]\nid = "none"\noff = true\n', ["rule yahoo/none", "no such rule", "ts04"]),
        ("[provider.yahoo]\nconnection = 3\n", ["provider yahoo", "unknown key 'connection'", "connections"]),
        ("[provider.yahoo]\nconnections = 0\n", ["connections = 0"]),
        ('[provider.yahoo]\nmessages = "10"\n', ["messages", "10/s"]),
        ('[provider.yahoo]\ntls = "maybe"\n', ["tls", "maybe", "required"]),
        ('[provider.new]\nsuffixes = ["mx.example"]\n', ["provider new", "mx.example", "dot"]),
        ('[provider.new]\nsuffixes = [".com"]\n', ["provider new", ".com"]),
        ('[provider.new]\nsuffixes = [".yahoodns.net"]\n', [".yahoodns.net", "belongs to yahoo"]),
        ("[providers.yahoo]\n", ["unknown key 'providers'"]),
        ("[provider]\nyahoo = 3\n", ["yahoo", "[provider.NAME]"]),
        ("[[provider]]\n", ["[provider.NAME]"]),
        ("nonsense", ["mine.toml"]),
    ],
)
def test_a_table_that_cannot_work_is_named_with_file_rule_value_and_fix(
    tmp_path: Path, text: str, words: list[str]
) -> None:
    with pytest.raises(SettingsError) as caught:
        overlaid(tmp_path, text)

    assert [word for word in ["mine.toml", *words] if word not in str(caught.value)] == []


def test_a_file_that_is_not_there_is_named_with_its_key() -> None:
    with pytest.raises(SettingsError, match=r"delivery\.providers = '/nowhere/x\.toml'"):
        load_providers(Path("/nowhere/x.toml"), Delivery())
