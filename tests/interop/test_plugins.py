"""The plugins of the panels, by their own interpreters against a live relay and a real Postfix. No panel is here."""

import shutil
import smtplib
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from relay.control.views import HoldOrder, NewDecision
from relay.policy.decisions.decision import Effect
from relay.tree import Role
from relay.users.views import NewUser, TokenOrder
from tests.builders import ROOT, free_port
from tests.interop.postfix_check import checked, in_namespace, postfix_folder
from tests.interop.servers import LOGIN, PASSWORD
from tests.interop.smarthost import ACCOUNT, Smarthost, sender_key, smarthost

WHM = ROOT / "docs/integrations/whm-plugin"
PLESK = ROOT / "docs/integrations/plesk-extension"
_SUBJECT = "<script>alert(1)</script> & you"
_MAIL = f"X-AuthUser: eve@site.example\r\nFrom: eve@site.example\r\nSubject: {_SUBJECT}\r\n\r\nHello\r\n"
# stands in for the module of cPanel's that says who asks
_ACLS = "package Whostmgr::ACLS; sub init_acls {} sub hasroot { return $ENV{TEST_HASROOT} } 1;\n"


@dataclass(frozen=True)
class Known:
    """A relay with a held and a suspended sender, and what a plugin needs to ask it."""

    url: str
    token: str


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Known]:
    with smarthost(tmp_path_factory.mktemp("relay")) as relay:
        yield Known(f"http://127.0.0.1:{relay.installation.control}", _fill(relay))


def _fill(relay: Smarthost) -> str:
    relay.limit("site.example", 77)
    with relay.installation.client() as client:
        client.hold_sender(sender_key("eve@site.example"), HoldOrder(reason="phishing of a bank"))
        client.propose(
            NewDecision(
                account=ACCOUNT,
                sender=sender_key("mallory@site.example"),
                effect=Effect.SUSPEND,
                rule="manual",
                reason="for good",
            )
        )
        client.add_user(NewUser(name="panel", role=Role.VIEWER, account=ACCOUNT, by_provider=True))
        token = client.make_token("panel", TokenOrder(seconds=3600)).token
    with smtplib.SMTP("127.0.0.1", relay.port, timeout=30) as smtp:
        smtp.login(LOGIN, PASSWORD)
        smtp.sendmail("eve@site.example", ["a@dest.example"], _MAIL)
    return token


@pytest.fixture
def server(tmp_path: Path) -> Path:
    """The folder of a server as far as install.sh looks at it."""
    binaries = tmp_path / "usr/local/cpanel/bin"
    binaries.mkdir(parents=True)
    for name in ("register_appconfig", "unregister_appconfig"):
        (binaries / name).write_text(f'#!/bin/sh\necho "{name} $(basename "$1")" >> "{tmp_path}/said"\n')
        (binaries / name).chmod(0o755)
    return tmp_path


def test_the_whm_plugin_shows_stopped_senders_held_mail_and_limits(known: Known, server: Path) -> None:
    _install(server, known.url, known.token)

    page = _whm_page(server)

    assert "eve@site.example is held" in page
    assert "mallory@site.example is suspended" in page
    assert "<td>77</td>" in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; you" in page
    assert "<script>" not in page


def test_only_root_sees_the_whm_plugins_page(known: Known, server: Path) -> None:
    _install(server, known.url, known.token)

    page = _whm_page(server, hasroot="")

    assert "Only root may look" in page
    assert "eve@site.example" not in page


def test_the_whm_plugin_says_what_is_wrong(known: Known, server: Path) -> None:
    _install(server, known.url, "a-wrong-token")
    wrong_token = _whm_page(server)
    _install(server, f"http://127.0.0.1:{free_port()}", known.token)
    no_relay = _whm_page(server)

    assert "this token is not one of this node" in wrong_token
    assert "does not answer" in no_relay
    assert known.token not in no_relay


def test_the_whm_plugin_is_installed_and_taken_out(known: Known, server: Path) -> None:
    _install(server, known.url, known.token)
    again = _shell(server, "install.sh")
    config = server / "etc/mailweir-panel.conf"

    assert again.returncode == 0
    assert config.stat().st_mode & 0o777 == 0o600
    assert f"token = {known.token}\n" in config.read_text()
    assert (server / "usr/local/cpanel/whostmgr/docroot/addon_plugins/mailweir.png").exists()

    _shell(server, "uninstall.sh", "--purge")

    assert (server / "said").read_text().splitlines() == [
        "register_appconfig mailweir.conf",
        "register_appconfig mailweir.conf",
        "unregister_appconfig mailweir",
    ]
    assert not [path for path in server.rglob("*mailweir*") if path.is_file()]


@pytest.mark.parametrize(
    ("options", "given", "told"),
    [
        (("--url", "http://relay.example.net:8025", "--account", "web1"), "t\n", "use https://"),
        (("--url", "https://relay.example.net"), "t\n", "--account is missing"),
        (("--url", "https://relay.example.net", "--account", "web1"), "", "no token on standard input"),
        ((), "", "no settings yet"),
    ],
)
def test_the_whm_plugin_is_not_installed_without_what_it_needs(
    server: Path, options: tuple[str, ...], given: str, told: str
) -> None:
    done = _shell(server, "install.sh", *options, given=given)

    assert done.returncode == 1
    assert told in done.stderr
    assert not (server / "said").exists()


def test_the_plesk_extension_shows_stopped_senders_held_mail_and_limits(known: Known) -> None:
    page = _plesk_status(known.url, known.token)

    assert "eve@site.example is held" in page
    assert "<td>77</td>" in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; you" in page
    assert "<script>" not in page


def test_the_plesk_extension_says_what_is_wrong(known: Known) -> None:
    assert "this token is not one of this node" in _plesk_status(known.url, "a-wrong-token")
    assert "does not answer" in _plesk_status(f"http://127.0.0.1:{free_port()}", known.token)
    assert "use https://" in _plesk_status("http://relay.example.net", known.token)


@pytest.mark.parametrize("path", sorted(PLESK.rglob("*.ph*")), ids=lambda path: path.name)
def test_the_plesk_extensions_files_are_php(path: Path) -> None:
    done = subprocess.run([_program("php"), "-l", str(path)], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout


def test_the_plesk_extensions_smarthost_is_set_and_taken_back(tmp_path: Path) -> None:
    main = (
        "compatibility_level = 3.6\nmyhostname = web-7.host.test\nrelayhost = [old.example]\nheader_checks = pcre:/x\n"
    )
    config = postfix_folder(tmp_path, main)
    script = str(PLESK / "sbin/smarthost")
    set_it = f"MAILWEIR_PASSWORD=one {script} set out.relay.test 587 login7"
    again = f"MAILWEIR_PASSWORD= {script} set out2.relay.test 588 login8"

    in_namespace(config, set_it)
    first = (config / "main.cf").read_text()
    warnings = checked(config)
    in_namespace(config, again)
    login = (config / "mailweir_login").read_text()
    mode = (config / "mailweir_login").stat().st_mode & 0o777
    identity = (config / "mailweir_identity").read_text()
    in_namespace(config, f"{script} unset")

    assert "relayhost = [out.relay.test]:587\n" in first
    assert "header_checks = pcre:/x, regexp:/etc/postfix/mailweir_identity\n" in first
    assert warnings == ""
    assert (login, mode) == ("[out2.relay.test]:588 login8:one\n", 0o600)
    assert r"by web-7\.host\.test \(Postfix\)/ PREPEND X-AuthUser: $1" in identity
    assert sorted((config / "main.cf").read_text().splitlines()) == sorted(main.splitlines())
    assert not list(config.glob("mailweir_*"))


@pytest.mark.parametrize("arguments", ["set 'a b' 587 x", "set a.example 5x7 x", "set a.example 587 'x:y'", "set a"])
def test_the_plesk_extensions_smarthost_takes_no_other_signs(tmp_path: Path, arguments: str) -> None:
    config = postfix_folder(tmp_path, "compatibility_level = 3.6\n")

    said = in_namespace(config, f"MAILWEIR_PASSWORD=one {PLESK}/sbin/smarthost {arguments}")

    assert "smarthost: " in said
    assert (config / "main.cf").read_text() == "compatibility_level = 3.6\n"


@pytest.mark.parametrize("path", [WHM / "install.sh", WHM / "uninstall.sh", PLESK / "sbin/smarthost"], ids=str)
def test_the_scripts_pass_shellcheck(path: Path) -> None:
    done = subprocess.run([_program("shellcheck"), str(path)], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout


def _install(server: Path, url: str, token: str) -> None:
    done = _shell(server, "install.sh", "--url", url, "--account", ACCOUNT, given=f"{token}\n")
    assert done.returncode == 0, done.stderr


def _shell(server: Path, script: str, *options: str, given: str = "") -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["sh", str(WHM / script), *options],
        env={"DESTDIR": str(server), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
        input=given,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def _whm_page(server: Path, hasroot: str = "1") -> str:
    module = server / "perl/Whostmgr/ACLS.pm"
    module.parent.mkdir(parents=True, exist_ok=True)
    module.write_text(_ACLS)
    cgi = server / "usr/local/cpanel/whostmgr/docroot/cgi/addons/mailweir/index.cgi"
    environment = {"MAILWEIR_PANEL_CONFIG": str(server / "etc/mailweir-panel.conf"), "TEST_HASROOT": hasroot}
    done = subprocess.run(
        [_program("perl"), "-w", "-I", str(server / "perl"), str(cgi)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.stderr == ""
    assert done.stdout.startswith("Content-Type: text/html")
    return done.stdout


def _plesk_status(url: str, token: str) -> str:
    code = f"""
    require "{PLESK}/plib/library/ControlApi.php";
    require "{PLESK}/plib/library/Status.php";
    try {{
        echo Modules_Mailweir_Status::html(new Modules_Mailweir_ControlApi($argv[1], $argv[2]), "{ACCOUNT}");
    }} catch (RuntimeException $e) {{
        echo $e->getMessage();
    }}"""
    command = [_program("php"), "-d", "error_reporting=-1", "-d", "display_errors=stderr", "-r", code, "--", url, token]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert done.stderr == ""
    return done.stdout


def _program(name: str) -> str:
    program = shutil.which(name)
    if program is None:
        pytest.skip(f"no {name}; install Debian's {'php-cli' if name == 'php' else name}")
    return program
