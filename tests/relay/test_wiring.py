"""What must not start."""

import sqlite3
from pathlib import Path

from relay.account import Account
from tests.builders import Installation


def test_a_state_that_would_make_an_open_relay_does_not_start(tmp_path: Path) -> None:
    site = Installation(tmp_path)
    site.write(9, model="none")
    site.add_account(Account("acme"))
    with sqlite3.connect(site.data / "state.sqlite") as state:
        state.execute("INSERT INTO network (network, account, created_at) VALUES ('0.0.0.0/0', 'acme', '2026-01-01')")

    assert site.start().wait(30) == 1

    said = (tmp_path / "process.log").read_text()
    assert "0.0.0.0/0 would make this an open relay" in said
    assert "account 'acme'" in said
