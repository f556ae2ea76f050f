"""What runs on a customer's server and sends by itself: a PHP script of a site, and cron."""

import shutil
import tempfile
from pathlib import Path

import pytest

from tests.interop.servers import HOSTNAME, MailServer
from tests.interop.smarthost import Smarthost, sender_key

SITE_USER, CRON_USER = "www-data", "backup"  # Debian has both, and neither is root
_FORGED_SENDER = "ceo@site.example"

# As WordPress's wp_mail sends by default, through PHP's mail(); the fifth argument is what plugins set the sender with.
_SCRIPT = f"""<?php
$headers = "From: author@customer.example\\r\\nX-AuthUser: {_FORGED_SENDER}";
exit(mail($argv[1], "From a form", "Hello there\\n", $headers, "-f{_FORGED_SENDER}") ? 0 : 1);
"""
# what Debian's cron writes, and how it calls sendmail
_CRON_MAIL = f"""From: root (Cron Daemon)
To: {{0}}
Subject: Cron <{CRON_USER}@web1> /usr/local/bin/nightly
MIME-Version: 1.0
Content-Type: text/plain; charset=UTF-8
X-Cron-Env: <LOGNAME={CRON_USER}>

37 files saved
"""
_CRON_OPTIONS = ("-FCronDaemon", "-i", "-B8BITMIME", "-oem")


def php_mail_names_the_user_and_the_script(server: MailServer, relay: Smarthost) -> None:
    """Run a script as the site's user: the Unix user is believed, what the script says of itself is not."""
    options = ("-d", f"sendmail_path={server.sendmail} -t -i", "-d", "mail.add_x_header=1")

    # not below tmp_path: the site's user must get at it
    with tempfile.TemporaryDirectory(prefix="mailweir-site-", dir="/var/tmp") as folder:
        script = Path(folder) / "form.php"
        script.write_text(_SCRIPT)
        Path(folder).chmod(0o755)
        server.run_as(SITE_USER, _php(), *options, str(script), "form@dest.example")

    message = relay.arrival("form@dest.example", explain=server.log)
    record = relay.record("form@dest.example")
    assert sender_key(server.name_of(SITE_USER)) == record["sender"]
    assert record["mail_from"] == _FORGED_SENDER
    assert record["script"] == "0:form.php"  # written here by root
    assert b"x-authuser" not in message.content.lower()


def cron_mail_names_the_user(server: MailServer, relay: Smarthost) -> None:
    given = _CRON_MAIL.format("cron@dest.example").encode()

    server.run_as(CRON_USER, server.sendmail, *_CRON_OPTIONS, "cron@dest.example", given=given)

    relay.arrival("cron@dest.example", explain=server.log)
    record = relay.record("cron@dest.example")
    assert sender_key(server.name_of(CRON_USER)) == record["sender"]
    assert record["mail_from"] == f"{CRON_USER}@{HOSTNAME}"


def _php() -> str:
    program = shutil.which("php")
    if program is None:
        pytest.skip("no PHP; install Debian's php-cli")
    return program
