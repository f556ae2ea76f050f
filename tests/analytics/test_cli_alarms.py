"""The command `alarm` on a real relay and a real analytics: raised, acknowledged, raised again."""

import json
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from analytics.client import QueryClient, QueryError
from relay.events import AlarmRaised
from tests.analytics.records import write
from tests.builders import Installation, until


def raise_alarm(
    installation: Installation, raised_at: datetime, job: str = "listings", name: str = "job_failed"
) -> None:
    boot = f"{raised_at:%Y%m%dT%H%M%SZ}-1"
    text, evidence = f"the job {job} failed twice", dict[str, float | int | str | list[str]](job=job)
    alarm = AlarmRaised(
        node="mw1",
        boot=boot,
        seq=1,
        logged_at=raised_at,
        condition=name,
        account="",
        text=text,
        evidence=evidence,
    )
    write(installation.data / "journal", f"analytics-mw1-{boot}-00000001", [alarm])


def alarms(installation: Installation, *more: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(installation.mailweir("alarm", "ls", "--json", *more))
    return found


def times(installation: Installation, job: str = "listings") -> int:
    try:
        with QueryClient.of(installation.settings) as client:
            rows = client.table("alarms").to_pylist()
    except QueryError:
        return -1
    return next((row["times"] for row in rows if row["subject"] == job), 0)


def test_an_alarm_is_listed_acknowledged_and_listed_again_when_it_is_raised_again(tmp_path: Path) -> None:
    installation = Installation(tmp_path)
    installation.write(1, model="none")
    now = datetime.now(UTC)
    raise_alarm(installation, now - timedelta(hours=2))
    raise_alarm(installation, now - timedelta(hours=1))
    with installation.running():
        analytics = installation.start("analytics")
        try:
            until(lambda: times(installation) == 2, 60)
            (row,) = alarms(installation, "--open")
            assert (row["condition"], row["subject"], row["times"], row["mark"]) == ("job_failed", "listings", 2, None)

            said = installation.mailweir("alarm", "ack", "job_failed", "--subject", "listings", "--why", "seen")
            assert "undo: mailweir alarm clear job_failed --subject listings" in said
            assert alarms(installation, "--open") == []
            assert alarms(installation)[0]["mark"]["author"] == "admin"

            raise_alarm(installation, datetime.now(UTC) + timedelta(seconds=5))
            until(lambda: times(installation) == 3, 60)
            assert len(alarms(installation, "--open")) == 1

            installation.mailweir("alarm", "silence", "job_failed", "--for", "2h")
            assert alarms(installation, "--open") == []
        finally:
            analytics.send_signal(signal.SIGTERM)
            analytics.wait(20)
