"""Every output of `mailweir panel snippet`, names filled in and nothing else changed, loads without a warning."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from relay.panels.pages import Names, Panel, blocks
from tests.interop import debian_exim, panel_exim
from tests.interop.exim import Exim, installed
from tests.interop.postfix_check import checked, in_namespace, postfix_folder

_NAMES = Names("out.relay.test", 587, "hoster7", "login7", "web-7.host.test", "of-the-login")
_BASE = "compatibility_level = 3.6\nmyhostname = web-7.host.test\nmydestination = web-7.host.test\n"


def snippet(panel: Panel) -> dict[str, str]:
    return {block.place: block.text for block in blocks(panel, _NAMES)}


@pytest.fixture(params=[Panel.EXIM, Panel.CPANEL, Panel.DIRECTADMIN])
def configured(request: pytest.FixtureRequest) -> Iterator[Exim]:
    """An Exim that is not started, with the panel's layout and the snippet in it."""
    lay_out = {
        Panel.EXIM: debian_exim.lay_out,
        Panel.CPANEL: panel_exim.lay_out_cpanel,
        Panel.DIRECTADMIN: panel_exim.lay_out_directadmin,
    }[request.param]
    with installed(lambda server, root: lay_out(server, root, snippet(request.param))) as server:
        yield server


def test_exim_loads_the_snippet_without_a_warning(configured: Exim) -> None:
    said = _run(*configured.command, "-bV")
    way = _run(*configured.command, "-bP", "router", "mailweir")
    login = _run(*configured.command, "-bP", "transport", "mailweir_smtp")

    assert "Configuration file is" in said
    assert "arning" not in said
    assert "route_list = * out.relay.test::587 byname" in way
    assert "hosts_require_tls = " in login


def test_a_wrong_snippet_does_not_load() -> None:
    wrong = snippet(Panel.CPANEL)
    wrong["TRANSPORTSTART"] = wrong["TRANSPORTSTART"].replace("multi_domain", "multi_domian")

    with installed(lambda server, root: panel_exim.lay_out_cpanel(server, root, wrong)) as server:
        assert 'option "multi_domian" unknown' in _run(*server.command, "-bV")


def test_postfix_checks_the_snippet_without_a_warning(tmp_path: Path) -> None:
    pasted = snippet(Panel.POSTFIX)
    config = postfix_folder(tmp_path, _BASE + pasted.pop("/etc/postfix/main.cf"))
    _place(config, pasted)

    assert checked(config) == ""


def test_postfix_checks_plesks_snippet_without_a_warning(tmp_path: Path) -> None:
    pasted = snippet(Panel.PLESK)
    commands = pasted.pop("postconf").replace("postfix reload\n", "")
    config = postfix_folder(tmp_path, _BASE + "relayhost = [out.relay.test]:587\n")
    _place(config, pasted)

    assert in_namespace(config, commands) + checked(config) == ""
    assert "header_checks = regexp:/etc/postfix/mailweir_identity" in (config / "main.cf").read_text()


def test_a_line_that_stands_twice_is_a_warning(tmp_path: Path) -> None:
    pasted = snippet(Panel.POSTFIX)
    config = postfix_folder(tmp_path, _BASE + "relayhost = old\n" + pasted.pop("/etc/postfix/main.cf"))
    _place(config, pasted)

    assert "overriding earlier entry" in checked(config)


def _place(config: Path, pasted: dict[str, str]) -> None:
    for place, text in pasted.items():
        (config / Path(place).name).write_text(text)


def _run(*command: str) -> str:
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, timeout=60
    )
    return done.stdout.decode(errors="replace")
