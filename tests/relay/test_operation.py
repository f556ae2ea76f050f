"""What operators watch: /metrics is fed and documented, /healthz tells the truth, the log says each change once."""

import base64
import contextlib
import json
import os
import re
import signal
import smtplib
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import pytest

from relay.account import Account
from relay.content.model_files import find_model
from tests.builders import ROOT, Installation, until
from tests.sink import Sink

LIMITED = "[limits]\nrcpts_per_hour = 2\n"


def send(site: Installation, to: str) -> int:
    with smtplib.SMTP("127.0.0.1", site.smtp, timeout=10) as smtp:
        smtp.login("srv1", "secret")
        smtp.mail("a@acme.example")
        smtp.rcpt(to)
        return smtp.data(b"Subject: hello\r\n\r\nhello\r\n")[0]


def post(site: Installation, password: str) -> int:
    key = base64.b64encode(f"srv1:{password}".encode()).decode()
    mail = {"from": "a@acme.example", "to": ["h@d.example"], "subject": "x", "text": "x"}
    connection = HTTPConnection("127.0.0.1", site.web, timeout=10)
    headers = {"Authorization": f"Basic {key}", "Content-Type": "application/json"}
    connection.request("POST", "/v1/messages", json.dumps(mail), headers)
    status = connection.getresponse().status
    connection.close()
    return status


def metrics(site: Installation) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{site.control}/metrics", timeout=10) as answer:
        return str(answer.read().decode())


def value(text: str, sample: str) -> float:
    found = re.search(rf"^mailweir_{re.escape(sample)} (\S+)$", text, re.M)
    return float(found[1]) if found else 0.0


def health(site: Installation) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{site.control}/healthz", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def names(text: str) -> set[str]:
    found = re.findall(r"^# TYPE (mailweir_\w+) \w+$", text, re.M)
    return {name for name in found if not name.endswith("_created")}


def test_metrics_are_fed_by_what_happens_and_each_is_documented(tmp_path: Path) -> None:
    site = Installation(tmp_path)
    with Sink() as sink:
        site.write(sink.port, LIMITED, model="none")
        site.config.write_text(site.config.read_text().replace("[smtp]\n", "[smtp]\nmax_connections_per_address = 1\n"))
        site.add_account(Account("acme"), "srv1")
        with site.running():
            assert [send(site, f"r{number}@d.example") for number in range(3)] == [250] * 3
            with smtplib.SMTP("127.0.0.1", site.smtp, timeout=10) as inside:
                with pytest.raises(smtplib.SMTPException):
                    smtplib.SMTP("127.0.0.1", site.smtp, timeout=10)
                inside.ehlo()
                wrong = base64.b64encode(b"\0srv1\0wrong-and-private").decode()
                assert inside.docmd("AUTH PLAIN", wrong)[0] == 535
                inside.docmd("MAIL FROM:<x@acme.example>")
                during = metrics(site)
            post(site, "secret")
            sink.wait_for(2)
            until(lambda: value(metrics(site), 'outcomes_total{outcome="delivery"}') >= 2)
            text = metrics(site)
        log = (site.folder / "process.log").read_text()

    assert value(during, "sessions") == 1
    assert value(text, "accepted_total") == 4
    assert value(text, "delayed_total") == 2
    assert value(text, "auth_failures_total") == 1
    assert value(text, 'refused_total{rule="authentication"}') >= 1
    assert value(text, 'connections_refused_total{reason="at_once"}') == 1
    assert value(text, 'http_requests_total{status="202"}') == 1
    for histogram, least in (("queue_wait", 2), ("content_wait", 4), ("accept", 4), ("delivery", 2), ("fsync", 1)):
        assert value(text, f"{histogram}_seconds_count") >= least, histogram
    assert value(text, "spool_bytes") > 0
    assert value(text, "spool_oldest_seconds") > 0
    documented = set(re.findall(r"^\| `(mailweir_\w+)", (ROOT / "docs" / "operations.md").read_text(), re.M))
    shown = {re.sub(r"_total$", "", name) for name in names(text)}
    assert {re.sub(r"_total$", "", name) for name in documented} == shown
    assert log.count("login refused client=127.0.0.1 mechanism=") == 1
    assert "wrong-and-private" not in log
    assert log.count(" delayed message=") == 2
    assert "accepted message=" not in log
    assert "delivered message=" not in log


def test_each_message_is_logged_once_where_the_operator_wants_it(tmp_path: Path) -> None:
    site = Installation(tmp_path)
    with Sink() as sink:
        site.write(sink.port, "[log]\nmessages = true\n", model="none")
        site.add_account(Account("acme", domains=("acme.example",)), "srv1")
        with site.running():
            for to in ("a@d.example", "dot-once-451-4.3.0@d.example", "reject-550-5.1.1@d.example"):
                send(site, to)
            sink.wait_for(2)

            def lines() -> list[int]:
                log = (site.folder / "process.log").read_text()
                words = ("accepted message=", "delivered message=", "deferred message=", "Bounce message=")
                return [log.count(word) for word in words]

            # the report about the bounce is delivered too
            until(lambda: lines() == [3, 3, 1, 1], explain=lambda: str(lines()))


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", str(folder)]
    if os.geteuid() or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("needs root and the right to mount a tmpfs")
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_health_is_503_while_the_disk_is_full_and_200_again_after(tmp_path: Path) -> None:
    site = Installation(tmp_path)
    with small_disk(site.data), Sink() as sink:
        site.write(sink.port, model="none")
        site.add_account(Account("acme"), "srv1")
        with site.running():
            well = health(site)
            filler = site.data / "filler"
            fill(filler)
            full, refused = health(site), send(site, "a@d.example")
            filler.unlink()
            until(lambda: health(site)[0] == 200)
            taken = send(site, "a@d.example")

    assert well[0] == 200
    assert full[0] == 503
    assert "is full" in full[1]
    assert (refused, taken) == (452, 250)


def fill(file: Path) -> None:
    with contextlib.suppress(OSError), file.open("wb", buffering=0) as out:
        while out.write(bytes(1 << 16)):
            pass


def descendants(pid: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        children.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    found = list(children.get(pid, []))
    for child in found:
        found += children.get(child, [])
    return found


def test_health_is_503_without_content_workers(tmp_path: Path) -> None:
    site, model = Installation(tmp_path), tmp_path / "model"
    model.mkdir()
    for file in find_model("shipped").iterdir():
        (model / file.name).write_bytes(file.read_bytes())
    with Sink() as sink:
        site.write(sink.port, model=str(model))
        with site.running() as process:
            well = health(site)
            model.rename(tmp_path / "away")
            for pid in descendants(process.pid):
                os.kill(pid, signal.SIGKILL)
            until(lambda: health(site)[0] == 503)
            gone = health(site)
            (tmp_path / "away").rename(model)
            until(lambda: health(site)[0] == 200)

    assert well[0] == 200
    assert "no content worker" in gone[1]
