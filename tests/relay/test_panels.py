"""The pages for servers and panels, with a relay's own names in them."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from relay.cli import run
from relay.panels.pages import Names, Panel, blocks, guide
from relay.panels.places import stored
from tests.relay.test_cli import folder as folder
from tests.relay.test_cli_accounts import Say
from tests.relay.test_cli_accounts import say as say

NAMES = Names("out.relay.test", 587, "hoster7", "login7", "web-7.host.test")


@pytest.mark.parametrize("panel", list(Panel))
def test_no_example_name_is_left_in_what_is_pasted(panel: Panel) -> None:
    text = "\n".join(block.text for block in blocks(panel, NAMES))

    assert text
    for example in ("relay.example.net", "srv1", "web1", "2587", "hosting"):
        assert example not in text


@pytest.mark.parametrize("panel", list(Panel))
def test_every_block_says_where_it_goes_and_only_names_differ_from_the_page(panel: Panel) -> None:
    examples = Names("relay.example.net", 2587, "web1", "srv1", "web1.hosting.example", "SECRET")

    assert all(block.where for block in blocks(panel, NAMES))
    original = stored(f"{panel.value}.md").read_text()
    hint = re.search(r"\n`mailweir panel snippet .*?replace .*?\.(?=\n\n)", original, re.DOTALL)
    assert hint
    assert original.replace(hint[0], "") == guide(panel, examples)


def test_dots_of_the_server_stay_escaped_in_patterns() -> None:
    identity = blocks(Panel.POSTFIX, NAMES)[2].text

    assert r"by web\-7\.host\.test \(Postfix\)" in identity
    assert "uid$1@web-7.host.test" in identity


def test_a_backslash_or_group_in_a_name_is_text() -> None:
    odd = Names(r"a\1b.test", 587, "a", r"dom\user", "s.test")

    assert r"[a\1b.test]:587 dom\user:SECRET" in guide(Panel.POSTFIX, odd)


def test_a_relay_on_the_same_machine_may_be_reached_there() -> None:
    beside = replace(NAMES, is_same_machine=True)

    assert "byname\n  self = send\n" in blocks(Panel.EXIM, beside)[1].text
    assert "self = send" not in blocks(Panel.EXIM, NAMES)[1].text
    assert "127.0.0.0/8" not in blocks(Panel.CPANEL, beside)[1].text
    assert "smtp_host_lookup = native" in blocks(Panel.POSTFIX, beside)[0].text


@pytest.mark.usefixtures("folder")
def test_names_come_from_the_settings_and_the_account(say: Say) -> None:
    say("account add web7 --shared-host --login login7")

    said = json.loads(say("panel snippet postfix --server web-7.host.test --host out.relay.test --json"))

    assert (said["account"], said["login"], said["port"]) == ("web7", "login7", 2587)
    assert said["blocks"][0]["append"]
    assert said["blocks"][1]["text"] == "[out.relay.test]:2587 login7:SECRET\n"
    assert {"Check", "Undo", "What the customer's users notice"} <= said["sections"].keys()
    assert say("panel snippet exim --host out.relay.test --only /etc/exim4/passwd.client") == (
        "out.relay.test:login7:SECRET\n"
    )


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("panel", list(Panel))
def test_no_password_of_an_account_is_ever_printed(panel: Panel, say: Say) -> None:
    password = json.loads(say("account add web7 --shared-host --json"))["secret"]["password"]

    said = say(f"panel snippet {panel.value} --server web-7.host.test")

    assert password not in said
    assert "SECRET" in said


def test_a_kit_holds_page_and_blocks_and_hides_what_will_hold_the_password(say: Say, folder: Path) -> None:
    say("account add web7 --shared-host")

    say("panel snippet postfix --server web-7.host.test --out kit")

    files = {str(path.relative_to(folder / "kit")): path for path in (folder / "kit").rglob("*") if path.is_file()}
    assert set(files) == {
        "README.md",
        "etc/postfix/main.cf.append",
        "etc/postfix/mailweir_login",
        "etc/postfix/mailweir_identity",
    }
    modes = {name: path.stat().st_mode & 0o777 for name, path in files.items()}
    assert modes["etc/postfix/mailweir_login"] == 0o600
    assert modes["etc/postfix/mailweir_identity"] == 0o644


@pytest.mark.parametrize(
    ("panel", "file"), [("cpanel", "whm-plugin/install.sh"), ("plesk", "plesk-extension/sbin/smarthost")]
)
def test_a_kit_holds_the_panels_plugin_ready_to_run(panel: str, file: str, say: Say, folder: Path) -> None:
    say("account add web7 --shared-host")

    said = json.loads(say(f"panel snippet {panel} --server web-7.host.test --out kit --json"))

    assert (folder / "kit" / file).stat().st_mode & 0o777 == 0o755
    assert file.partition("/")[0] in said["files"]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("postfix --account web7", "--server: Postfix names"),
        ("exim --account web9", "there is no account 'web9': mailweir account add web9 --shared-host"),
        ("exim", "--account: say whose server it is; there are web7, web8"),
        ("exim --account web7 --only nothing", "no such block; there are /etc/exim4/passwd.client"),
        ("exim --account web7 --out full", "full is not empty"),
    ],
)
def test_what_cannot_be_filled_in_is_asked_for(
    line: str, told: str, say: Say, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "full").mkdir()
    (folder / "full" / "mine").touch()
    say("account add web7 --shared-host")
    say("account add web8 --shared-host")

    assert run(["panel", "snippet", *line.split()]) in (1, 2)

    assert told in " ".join(capsys.readouterr().err.split())


def test_what_would_not_work_is_said_beside_it(say: Say, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    say("account add shop")

    assert run(["panel", "snippet", "exim", "--host", "out.relay.test", "--login", "a:b"]) == 0

    told = capsys.readouterr().err
    assert "mailweir account set shop --shared-host" in told
    assert "make a plain one" in told
