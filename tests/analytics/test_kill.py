"""kill -9 of the analytics process, again and again while it ingests: every record is there exactly once."""

import random
import subprocess
import time
from pathlib import Path

from analytics.client import AnalyticsDown, QueryClient
from relay.events import Delivery, Reception
from tests.analytics.records import traffic, write
from tests.builders import Installation, until

ROUNDS = 4
FILES = 24
MESSAGES_PER_FILE = 400


def test_killed_while_it_ingests_nothing_is_lost_or_counted_twice(tmp_path: Path) -> None:
    installation = Installation(tmp_path)
    installation.write(1, "", model="none")
    journal = installation.settings.journal_dir
    records = [record for seed in (1,) for record in traffic(FILES * MESSAGES_PER_FILE, seed=seed)]
    files = [records[start::FILES] for start in range(FILES)]  # each refers to records of the others
    chance = random.Random(4)
    per_round = FILES // ROUNDS

    for round_number in range(ROUNDS):
        for number in range(round_number * per_round, (round_number + 1) * per_round):
            write(journal, f"relay-mw1-a-{number:08d}", files[number])
        process = installation.start("analytics")
        wait_for_start(installation, process)
        time.sleep(chance.uniform(0, 0.4))  # somewhere in the middle: the instant is what is being tried
        process.kill()
        process.wait()
    process = installation.start("analytics")
    try:
        with QueryClient.of(installation.settings, "admin") as client:
            until(lambda: caught_up(client), 60, lambda: (tmp_path / "process.log").read_text()[-2000:])
            found = client.sql(
                "SELECT (SELECT count(*) FROM message) AS messages, count(*) AS outcomes, "
                "count(DISTINCT (message_id, recipient_id)) AS recipients, "
                "count(*) FILTER (outcome = 'delivered') AS delivered, "
                "(SELECT sum(accepted)::BIGINT FROM rollup_minute) AS accepted, "
                "(SELECT sum(delivered)::BIGINT FROM rollup_minute) AS rolled, "
                "(SELECT count(*) FROM corrupt_file) AS corrupt FROM recipient"
            ).iloc[0]
    finally:
        process.terminate()
        process.wait()

    messages = sum(isinstance(record, Reception) for record in records)
    delivered = sum(isinstance(record, Delivery) for record in records)
    assert (found["messages"], found["accepted"]) == (messages, messages)
    assert (found["outcomes"], found["recipients"]) == (messages, messages)
    assert (found["delivered"], found["rolled"]) == (delivered, delivered)
    assert found["corrupt"] == 0
    assert list(journal.glob("*.jsonl")) == []


def wait_for_start(installation: Installation, process: "subprocess.Popen[bytes]") -> None:
    warehouse = installation.data / "warehouse.duckdb"
    until(lambda: process.poll() is None and warehouse.exists(), 30, lambda: "analytics did not start")


def caught_up(client: QueryClient) -> bool:
    try:
        return client.health()["behind_files"] == 0
    except AnalyticsDown:
        return False
