"""The command line: quick, clear, with the exit codes it promises, before and while a relay runs."""

import json
import os
import subprocess
import sys
import tomllib
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest

from relay import __version__
from relay.cli import SUMMARIES, run
from relay.control.state.lock import acquire
from relay.settings import Settings, load
from relay.settings.rendered import render
from tests.builders import Installation


@pytest.fixture
def folder(tmp_path: Path, no_settings: None, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installation that nobody has started yet, and whose control port nobody listens on."""
    (tmp_path / "mailweir.toml").write_text(f'dir = "{tmp_path / "data"}"\n[control]\nlisten = "127.0.0.1:1"\n')
    monkeypatch.setenv("MAILWEIR_CONFIG", str(tmp_path / "mailweir.toml"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_help_names_every_command_and_loads_nothing_that_takes_long() -> None:
    slow = {"sqlalchemy", "pydantic", "msgspec", "httpx2", "asyncio", "cryptography", "duckdb", "numpy", "streamlit"}
    script = f"import sys; from relay.cli import run; run(['--help']); sys.exit(bool({slow} & {{*sys.modules}}))"

    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout

    assert all(f"  {entry.name} " in shown for entry in entry_points(group="mailweir.commands"))


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o640), (0o077, 0o600)])
def test_what_a_command_writes_is_for_its_owner_and_his_group_at_most(tmp_path: Path, umask: int, mode: int) -> None:
    script = (
        "import os, pathlib, relay.cli; relay.cli.run = lambda given: pathlib.Path(given[0]).touch(); relay.cli.main"
    )
    code = f"{script}(['{tmp_path}/made'])"

    subprocess.run([sys.executable, "-c", code], umask=umask, check=True)

    assert mode == (tmp_path / "made").stat().st_mode & 0o777


def test_version_is_the_packages(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"mailweir {__version__}\n"


@pytest.mark.parametrize(
    "name",
    [
        "account",
        "allow",
        "cred",
        "held",
        "import",
        "init",
        "ip",
        "label",
        "limit",
        "openapi",
        "pool",
        "relay",
        "reseller",
        "send-test",
        "sender",
        "spool",
        "tenant",
        "up",
        "warmup",
        "why",
    ],
)
def test_the_summary_of_a_command_is_the_first_line_of_its_help(name: str) -> None:
    entry = entry_points(group="mailweir.commands", name=name)[name]

    assert (entry.load().help or "").split("\n\n")[0] == SUMMARIES[name]


def test_every_command_has_a_summary() -> None:
    assert {entry.name for entry in entry_points(group="mailweir.commands")} <= set(SUMMARIES)


def test_a_wrong_call_ends_with_2_and_a_failure_with_1(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["held", "lst"]) == 2
    assert run(["nonsense"]) == 2
    assert run(["held", "release"]) == 2
    capsys.readouterr()

    assert run(["held", "ls"]) == 1
    error = capsys.readouterr().err
    assert error == (
        "mailweir: the relay's control API at http://127.0.0.1:1 does not answer; is `mailweir up` running?\n"
    )


def test_a_wrong_setting_is_named_with_its_fix(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "other.toml").write_text("[smtp]\nlistn = []\n")

    assert run(["--config", "other.toml", "held", "ls"]) == 1
    assert "smtp.listn = []: unknown setting. Did you mean 'listen'?" in capsys.readouterr().err


def test_a_config_file_that_is_missing_says_how_to_make_one(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--config", "none.toml", "account", "list"]) == 1
    assert "none.toml: there is no such file. Make one with: mailweir init" in capsys.readouterr().err


def test_an_account_is_added_before_the_first_start(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["account", "add", "acme", "--shared-host", "--domain", "Acme.example", "--json"]) == 0
    added = json.loads(capsys.readouterr().out)
    assert run(["account", "allow", "acme", "192.0.2.0/24"]) == 0
    assert run(["account", "cred-add", "acme", "--login", "web2"]) == 0
    assert run(["account", "cred-revoke", "web2"]) == 0
    capsys.readouterr()
    assert run(["account", "show", "acme", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)

    assert len(added["secret"]["password"]) >= 20
    assert (shown["domains"], shown["shared_host"], shown["networks"]) == (["acme.example"], True, ["192.0.2.0/24"])
    assert (shown["logins"], shown["revoked_logins"]) == (["acme"], ["web2"])


def test_a_dry_run_adds_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["account", "add", "acme", "--dry-run"]) == 0
    assert run(["account", "list", "--json"]) == 0

    assert capsys.readouterr().out == "would add account acme\nlogin:    acme\n[]\n"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["add", "a|b"], "account name 'a|b': write"),
        (["add", "acme", "--login", "with space"], "login 'with space': write"),
        (["add", "acme", "--domain", "no_dot"], "domain 'no_dot': write"),
        (["allow", "first", "0.0.0.0/0"], "0.0.0.0/0 would make this an open relay"),
        (["allow", "first", "192.0.2.1/24"], "has host bits set"),
        (["allow", "nobody", "192.0.2.0/24"], "there is no account 'nobody'"),
        (["add", "first"], "there is an account 'first' already"),
    ],
)
def test_a_wrong_value_is_one_clear_line(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], text: str
) -> None:
    run(["account", "add", "first"])
    capsys.readouterr()

    assert run(["account", *arguments]) == 1
    shown = capsys.readouterr().err
    assert text in shown
    assert shown.count("\n") == 1


def test_the_relay_of_another_folder_is_not_asked(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    other = Installation(tmp_path_factory.mktemp("other"))
    other.write(sink_port=1, model="none")
    (folder / "mailweir.toml").write_text(
        f'dir = "{folder / "data"}"\n[control]\nlisten = "127.0.0.1:{other.control}"\n'
    )
    with other.running():
        assert run(["account", "add", "acme"]) == 0
        with other.client() as client:
            assert client.accounts() == []

    assert (folder / "data" / "state.sqlite").exists()


def test_the_state_is_not_touched_behind_a_relays_back(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with acquire(folder / "data"):
        assert run(["account", "add", "acme"]) == 1

    assert f"process {os.getpid()} already runs a relay" in capsys.readouterr().err
    assert not (folder / "data" / "state.sqlite").exists()


def test_init_writes_a_file_that_loads_and_is_kept_unless_forced(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MAILWEIR_CONFIG")
    assert run(["init", "new.toml"]) == 0
    assert load(folder / "new.toml").dir == folder / "mailweir-data"
    (folder / "new.toml").write_text("# mine")

    assert run(["init", "new.toml"]) == 1
    assert (folder / "new.toml").read_text() == "# mine"
    assert "--force overwrites it" in capsys.readouterr().err
    assert run(["init", "new.toml", "--force"]) == 0
    assert (folder / "new.toml").stat().st_mode & 0o777 == 0o600


def test_every_default_in_the_written_file_is_the_real_one(tmp_path: Path) -> None:
    lines = render(tmp_path).splitlines()
    is_setting = [line.startswith("# ") and " = " in line and not line.endswith("...") for line in lines]
    switched_on = [line[2:] if on else line for line, on in zip(lines, is_setting, strict=True)]

    values = tomllib.loads("\n".join(switched_on).replace("# [[route]]", "[[route]]"))

    del values["route"]
    assert Settings(**values).model_dump(exclude={"dir"}) == Settings().model_dump(exclude={"dir"})


def test_every_setting_stands_in_the_written_file(tmp_path: Path) -> None:
    text = render(tmp_path)

    def names(model: Any) -> set[str]:
        return {name for field in model.model_fields.values() for name in _below(field.annotation)} | set(
            model.model_fields
        )

    def _below(annotation: Any) -> set[str]:
        return names(annotation) if hasattr(annotation, "model_fields") else set()

    sections = {name for name, field in Settings.model_fields.items() if hasattr(field.annotation, "model_fields")}
    missing = [name for name in names(Settings) - sections - {"route"} if f"{name} =" not in text]
    assert missing == []
