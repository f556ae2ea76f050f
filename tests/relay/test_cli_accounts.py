"""`account`, `cred`, `allow`, `limit` and `reseller` the way a person types them; every undo line undoes."""

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from relay.cli import run
from tests.relay.test_cli import folder as folder

Say = Callable[[str], str]


@pytest.fixture
def say(folder: Path, capsys: pytest.CaptureFixture[str]) -> Say:
    """Run one command line, which must succeed; gives what it printed."""

    def run_one(line: str) -> str:
        capsys.readouterr()
        code = run(shlex.split(line))
        shown = capsys.readouterr()
        assert code == 0, shown.err
        return shown.out

    return run_one


def everything(say: Say) -> Any:
    views = [json.loads(say(f"{group} ls --json")) for group in ("account", "allow", "limit", "reseller")]
    logins = [{**view, "previous_until": None} for view in json.loads(say("cred ls --json"))]
    suppressed = [{**view, "created_at": None} for view in json.loads(say("suppress ls --json"))]
    return [*views, logins, suppressed]


UNDONE = [
    "account suspend acme",
    "account set acme --shared-host --contact 'Anna <a@acme.example>' --domain b.example --no-domain a.example",
    "account set acme --identity-rule 'site=X-Site~^(.+)$!keep' --normalise-line-ends --reseller isp",
    "account set acme --list-unsubscribe on",
    "suppress add a@x.example --account acme",
    "suppress rm gone@x.example --account acme",
    "allow rm 192.0.2.0/24",
    "allow add acme 2001:db8::/48",
    "limit set account acme --rcpts-per-hour 10 --messages-per-hour 0",
    "limit set senders acme --rcpts-per-hour default",
    "limit set sender 'acme|x-authuser|o'\"'\"'hara@acme.example' --rcpts-per-day 5",
    "limit rm senders acme",
    "reseller suspend isp",
]


def test_every_undo_line_takes_the_change_back(say: Say, folder: Path) -> None:
    (folder / "mailweir.toml").write_text(
        (folder / "mailweir.toml").read_text() + '[web]\npublic_url = "https://relay.example"\n'
    )
    say("reseller add isp")
    say("account add acme --domain a.example --rcpts-per-hour 50 --login web1")
    say("limit set senders acme --rcpts-per-message 20")
    say("allow add acme 192.0.2.0/24")
    say("suppress add gone@x.example --account acme --until 2100-01-01 --evidence 'not there' --reason hard_bounce")
    before = everything(say)

    for line in UNDONE:
        undo = say(line).splitlines()[-1]
        assert undo.startswith("undo: mailweir "), line
        say(undo.removeprefix("undo: mailweir "))
    assert _sorted(everything(say)) == _sorted(before)


def _sorted(found: Any) -> Any:
    """Domains come back in another order."""
    return json.loads(json.dumps(found), object_hook=lambda one: one | {"domains": sorted(one.get("domains", []))})


def test_a_dry_run_says_what_would_happen_and_changes_nothing(say: Say) -> None:
    say("account add acme --login web1")
    before = everything(say)

    for line in [
        *("account suspend acme", "account set acme --shared-host", "account rm acme"),
        *("cred add acme web2", "cred rotate web1", "cred revoke web1"),
        *("allow add acme 198.51.100.0/24", "limit set account acme --rcpts-per-hour 10", "reseller add new"),
    ]:
        told = say(f"{line} --dry-run")
        assert "would" in told, line
        assert not {"undo", "password"} & {word.rstrip(":") for word in told.split() if word.endswith(":")}
    assert everything(say) == before


def test_a_login_is_added_bound_rotated_and_revoked(say: Say) -> None:
    say("account add acme --no-login")
    added = say(
        "cred add acme web1 --network 10.0.0.0/8 --domain acme.example --domain .acme.example --end-sender Cron"
    )
    assert "HTTP key: mw1.d2ViMQ." in added
    assert added.splitlines()[-1] == "undo: mailweir cred revoke web1"

    rotated = say("cred rotate web1 --overlap 90m")
    assert "the old password is good until" in rotated
    shown = json.loads(say("cred ls acme --json"))[0]
    assert (shown["networks"], shown["end_sender"]) == (["10.0.0.0/8"], "cron")
    assert shown["sender_domains"] == ["acme.example", "*.acme.example"]
    assert shown["previous_until"]
    assert "10.0.0.0/8, acme.example, *.acme.example, end sender cron" in say("cred ls")

    assert "is not good any more" in say("cred rotate web1 --overlap 0")
    assert "cannot be undone" in say("cred revoke web1")
    assert json.loads(say("cred ls --json"))[0]["is_revoked"]


def test_a_removed_account_can_be_brought_back(say: Say, capsys: pytest.CaptureFixture[str]) -> None:
    say("account add acme")
    told = say("account rm acme")
    assert say("account ls") == "no accounts yet; add one with: mailweir account add NAME\n"
    assert run(["account", "add", "acme"]) == 1
    assert "mailweir account restore acme" in capsys.readouterr().err

    say(told.splitlines()[-1].removeprefix("undo: mailweir "))

    assert json.loads(say("account show acme --json"))["revoked_logins"] == ["acme"]


@pytest.mark.parametrize(
    ("line", "code", "text"),
    [
        ("cred rotate web1 --overlap soon", 2, "90m, 24h or 7d"),
        ("cred rotate web1 --overlap 90d", 1, "between 0 and 30 days"),
        ("cred rotate nobody", 1, "there is no login 'nobody'"),
        ("cred add acme web1", 1, "there is a login 'web1' already"),
        ("cred add acme web2 --domain no_dot", 1, "domain 'no_dot'"),
        ("cred add acme web2 --network 10.0.0.1/8", 1, "host bits"),
        ("limit set account acme", 2, "at least one of --rcpts-per-hour"),
        ("limit set account acme --rcpts-per-hour many", 2, "0 for no limit"),
        ("limit set team acme --rcpts-per-hour 1", 2, "'team' is not one of"),
        ("limit rm account acme", 1, "there are no limits"),
        ("allow add acme ::/0", 1, "open relay"),
        ("allow add acme ::ffff:0:0/96", 1, "open relay"),
        ("allow rm 192.0.2.0/24", 1, "is not allowed"),
        ("account set acme --identity-rule nonsense", 1, "KIND=SOURCE"),
        ("account set acme --no-domain a.example", 1, "has no domain a.example"),
        ("account restore acme", 1, "no removed account"),
        ("reseller suspend nobody", 1, "there is no reseller 'nobody'"),
        ("account set acme --reseller nobody", 1, "there is no reseller 'nobody'; `mailweir reseller ls`"),
        ("lockdown check 'bad domain'", 1, "domain 'bad domain'"),
        ("allow ls nobody", 1, "there is no account 'nobody'"),
        ("limit ls nobody", 1, "there is no account 'nobody'"),
    ],
)
def test_a_wrong_call_is_told_clearly(
    say: Say, capsys: pytest.CaptureFixture[str], line: str, code: int, text: str
) -> None:
    say("account add acme --login web1")

    assert run(shlex.split(line)) == code
    assert text in capsys.readouterr().err


def test_the_verbs_of_earlier_versions_still_work(say: Say) -> None:
    say("account add acme")
    say("account cred-add acme --login web2")
    say("account cred-revoke web2")
    say("account allow acme 192.0.2.0/24")

    assert "192.0.2.0/24" in say("account list")
    assert "cred-add" not in say("account --help")


def test_tables_are_for_people(say: Say) -> None:
    say("account add acme --reseller isp --rcpts-per-hour 50")
    say("limit set domain 'acme|a.example' --rcpts-per-day 0")
    say("reseller suspend isp")

    assert "suspended with its reseller" in say("account ls")
    assert "rcpts_per_hour 50" in say("account show acme")
    assert "none" in say("limit ls acme")
    assert "suspended" in say("reseller ls")
    assert say("allow ls") == "no network is allowed without a password\n"


def test_a_change_that_changes_nothing_says_so(say: Say) -> None:
    say("account add acme")

    assert say("account set acme") == "found nothing to change in account acme\n"


def test_links_need_an_address_to_lead_to(say: Say, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    say("account add acme --no-login")

    assert run(shlex.split("account set acme --list-unsubscribe on")) == 2
    assert "set web.public_url first" in capsys.readouterr().err
    assert not json.loads(say("account show acme --json"))["list_unsubscribe"]
