"""The table of docs/webhooks.md names every condition, and says truly which rules and alarms raise it."""

import re

from relay.control.webhooks.conditions import CONDITIONS, of_alarm, of_decision
from tests.builders import ROOT

TABLE = (ROOT / "docs" / "webhooks.md").read_text().split("## Conditions")[1]
ROWS = [row.strip("| ").split(" | ") for row in TABLE.splitlines() if row.startswith("| `")]


def names(cell: str) -> list[str]:
    return re.findall(r"`([a-z_]+)`", cell)


def test_the_table_names_every_condition_once() -> None:
    listed = [name for row in ROWS for name in names(row[0])]

    assert sorted(listed) == sorted(CONDITIONS)


def test_the_rules_and_alarms_in_the_table_raise_what_it_says() -> None:
    for condition, raised in ROWS:
        if raised.startswith("decision"):
            assert [of_decision("hold", rule) for rule in names(raised)] == names(condition) * len(names(raised))
        elif raised.startswith("alarm `"):
            assert of_alarm(names(raised)[0]) == names(condition)[0]
