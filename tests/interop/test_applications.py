"""The recipes of docs/applications.md, run as they stand: each block, by its own runtime, against a real relay."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from relay.account import Account
from relay.events import Reception
from relay.tenants.views import TenantHeaderOrder
from tests.builders import ROOT, Installation, until
from tests.sink import Sink

PAGE = (ROOT / "docs" / "applications.md").read_text()
RECIPES = dict(re.findall(r"<!-- tried: (\w+) -->\n```\w+\n(.*?)```\n", PAGE, re.DOTALL))
PYTHON = "/usr/bin/python3"  # the distribution's, which has its Django
_WORDPRESS = """
<?php
define("MAIL_PASSWORD", getenv("MAIL_PASSWORD"));
require "libphp-phpmailer/autoload.php";
function add_action($hook, $listener) {
    $mailer = new PHPMailer\\PHPMailer\\PHPMailer(true);
    $listener($mailer);
    $mailer->addAddress("ann@sandbox.test");
    $mailer->addCustomHeader("X-Tenant", "t17");
    $mailer->Subject = "Your order";
    $mailer->Body = "Thank you!";
    $mailer->send();
}
?>
"""


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with Sink() as sink:
        installation = Installation(tmp_path_factory.mktemp("applications"))
        installation.write(sink.port, model="none", hostname="localhost")
        config = installation.config.read_text().replace("[web]\n", "[web]\ntls = true\n")
        installation.config.write_text(config)
        installation.add_account(Account("app", domains=("app.example",)), "app")
        with installation.running(), installation.client() as relay:
            relay.set_tenant_header("app", TenantHeaderOrder())
            yield installation


def receptions(node: Installation, to: str) -> list[Reception]:
    return [record for record in node.records(Reception) if [one.address for one in record.recipients] == [to]]


def command(name: str, script: Path, authority: Path) -> list[str]:
    """How a recipe is run; skips where its runtime, or its library, is not there."""
    php = ["php", "-d", f"openssl.cafile={authority}", "-d", "include_path=/usr/share/php"]
    known: dict[str, tuple[list[str], str]] = {
        "django": ([PYTHON], "/usr/lib/python3/dist-packages/django"),
        "rails": (["ruby"], "/usr/share/rubygems-integration/all/specifications/actionmailer-*.gemspec"),
        "laravel": (php, "/usr/share/php/Symfony/Component/Mailer/autoload.php"),
        "wordpress": (php, "/usr/share/php/libphp-phpmailer/autoload.php"),
        "node": (["node"], "/usr/share/nodejs/nodemailer"),
        "curl": (["sh", "-e"], "/usr/bin/curl"),
    }
    words, library = known[name]
    if shutil.which(words[0]) is None or not list(Path("/").glob(library.lstrip("/"))):
        pytest.skip(f"{name}: {words[0]} or {library} is not installed")
    return [*words, str(script)]


def test_every_recipe_of_the_page_is_run_here() -> None:
    assert sorted(RECIPES) == ["curl", "django", "laravel", "node", "python", "rails", "wordpress"]


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_sends_for_its_tenant_over_tls(name: str, node: Installation, tmp_path: Path) -> None:
    (authority,) = node.data.glob("tls/*cert*")

    done = tried(name, node, tmp_path, authority, f"{name}@sandbox.test")

    assert done.returncode == 0, done.stdout + done.stderr
    until(lambda: receptions(node, f"{name}@sandbox.test"))
    (record,) = receptions(node, f"{name}@sandbox.test")
    assert (record.credential, record.sender, record.sandbox) == ("app", "app|tenant|t17", True)
    assert record.tls
    assert record.subject == "Your order"


# Django before 4.2 leaves it to smtplib, which does not look at certificates; the page says so
@pytest.mark.parametrize("name", [name for name in RECIPES if name != "django"])
def test_a_recipe_sends_nothing_to_a_relay_that_it_cannot_verify(name: str, node: Installation, tmp_path: Path) -> None:
    done = tried(name, node, tmp_path, Path("/etc/ssl/certs/ca-certificates.crt"), f"{name}-never@sandbox.test")

    assert done.returncode != 0
    assert receptions(node, f"{name}-never@sandbox.test") == []


def tried(
    name: str, node: Installation, folder: Path, authority: Path, recipient: str
) -> "subprocess.CompletedProcess[str]":
    """Run a recipe, with `authority` as what it trusts."""
    text = (_WORDPRESS.lstrip() if name == "wordpress" else "") + RECIPES[name]
    text = text.replace("https://relay.example.net", f"https://localhost:{node.web}")
    text = text.replace("587", str(node.submission)).replace("relay.example.net", "localhost")
    script = folder / f"recipe.{'js' if name == 'node' else 'txt'}"
    script.write_text(text.replace("ann@sandbox.test", recipient))
    trust = {"SSL_CERT_FILE": str(authority), "NODE_EXTRA_CA_CERTS": str(authority), "CURL_CA_BUNDLE": str(authority)}
    more: dict[str, Any] = {"MAIL_PASSWORD": "secret", "NODE_PATH": "/usr/share/nodejs", **trust}
    if name == "python":
        return _run([sys.executable, str(script)], more | {"PYTHONPATH": str(ROOT)})
    return _run(command(name, script, authority), more)


def _run(words: list[str], more: dict[str, Any]) -> "subprocess.CompletedProcess[str]":
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAILWEIR_", "PYTHON"))}
    return subprocess.run(words, env=environment | more, capture_output=True, text=True, timeout=60, check=False)
