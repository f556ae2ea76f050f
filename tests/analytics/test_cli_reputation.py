"""The commands about reputation, listings and jobs, asked of a running analytics; its lists are a real rbldnsd."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from analytics.cli_jobs import jobs
from analytics.listings.cli import ip
from analytics.reputation.cli import reputation
from relay.cli import Context
from tests.analytics.records import Story, write
from tests.analytics.test_service import Service, served
from tests.builders import Installation, until
from tests.rbldnsd import PROGRAM, rbldnsd

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="rbldnsd is not installed")
BOB, ADDRESS = "host|x-authuser|bob@a.example", "192.0.2.9"


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    installation = Installation(tmp_path)
    with rbldnsd() as lists:
        more = f'[dnsbl]\nzones = ["listed.test", "silent.test"]\naddresses = ["{ADDRESS}"]\n'
        installation.write(1, more + f'nameservers = ["{lists.address}"]\n')
        story = Story(start=datetime.now(UTC) - timedelta(minutes=30))
        records = [
            record
            for number in range(1, 81)
            for record in (
                story.reception(number, 0, sender=BOB, score=0.97),
                story.delivery(number, 0, 1, sender=BOB, source=ADDRESS),
            )
        ]
        write(installation.settings.journal_dir, "relay-mw1-a-00000001", records)
        with served(installation) as running:
            with running.client("admin") as client:
                until(lambda: client.table("ingest").to_pylist()[0]["files"] >= 1, 30, lambda: "not ingested")
                for name in ("reputation_parts", "reputation"):
                    until(lambda name=name: run_job(running, name), 30, lambda: "it did not run")
            yield running


def run_job(service: Service, name: str) -> bool:
    return say(service, jobs, "run", name)[0] in (0, 1)


def say(service: Service, command: object, *words: str) -> tuple[int, str]:
    context = Context(service.settings.dir.parent / "mailweir.toml")
    found = CliRunner().invoke(command, list(words), obj=context, standalone_mode=False)  # type: ignore[arg-type]
    if found.exception and not isinstance(found.exception, SystemExit):
        return 2, str(found.exception)
    return int(found.return_value or 0), found.output


def test_reputation_is_shown_with_what_each_signal_cost(service: Service) -> None:
    code, shown = say(service, reputation, "show", BOB)
    _, listed = say(service, reputation, "ls", "--band", "bad")
    _, none = say(service, reputation, "ls", "--kind", "pool", "--band", "good")
    missing, words = say(service, reputation, "show", "nobody")
    (as_json,) = json.loads(say(service, reputation, "show", BOB, "--json")[1])

    assert code == 0
    assert "account host: bad, score" in shown
    assert "messages scored as spam" in shown
    assert "100.0 -> " in shown
    assert (BOB in listed, "nobody yet" in none) == (True, True)
    assert (missing, "nothing is known of nobody" in words) == (1, True)
    assert as_json["signals"][0]["signal"] == "spam"


def test_listings_and_culprits_are_shown(service: Service) -> None:
    with service.client("admin") as client:
        until(lambda: client.table("listings").num_rows >= 4, 30, lambda: "the lists were not asked")
    code, shown = say(service, ip, "listings")
    _, culprits = say(service, ip, "culprits", ADDRESS)
    wrong, why = say(service, ip, "culprits", ADDRESS, "--at", "yesterday")

    assert code == 0  # seen once: nothing is confirmed
    assert "listed.test" in shown
    assert "does not answer" in shown
    assert BOB in culprits
    assert "(somebody else)" in culprits
    assert (wrong, "yesterday" in why) == (2, True)


def test_jobs_are_listed_and_run(service: Service) -> None:
    _, shown = say(service, jobs, "ls")
    code, ran = say(service, jobs, "run", "rollups")
    wrong, why = say(service, jobs, "run", "tea")

    assert "reputation_parts" in shown
    assert "5 min" in shown
    assert (code, "rollups: " in ran) == (0, True)
    assert (wrong, "there is no job 'tea'" in why) == (2, True)
