"""Writes what bench/product runs: settings from RACE_*, accounts from RACE_ACCOUNTS.

Every guard stays on. Only numeric limits are raised, and waits made short; with RACE_PLAIN=1 there is no model and no
signature, as for a plain Postfix; with RACE_VERP=1 mail of race.test has return paths of ours, one for each recipient.
"""

import asyncio
import os
import socket
from pathlib import Path

from relay.account import EVERY_DOMAIN, Account
from relay.clock import SystemClock
from relay.control.state.memory import State
from relay.tree import Principal, Role

_ADMIN = Principal("bench", Role.ADMIN)
_EVERYTHING = 100_000_000


def main() -> None:
    folder = Path(os.environ["RACE_DIR"]).absolute()
    (folder / "mailweir.toml").write_text(_settings(folder, _free_port()))
    (folder / "data").mkdir(exist_ok=True)
    logins = [line.split(":", 1) for line in Path(os.environ["RACE_ACCOUNTS"]).read_text().split()]
    asyncio.run(_accounts(folder / "data", logins))


def _settings(folder: Path, control: int) -> str:
    is_plain = os.environ.get("RACE_PLAIN") == "1"
    is_verp = os.environ.get("RACE_VERP") == "1"
    return f"""
dir = "{folder / "data"}"
[node]
hostname = "relay.race.test"
[smtp]
listen = ["127.0.0.1:{os.environ["RACE_SMTP_PORT"]}"]
submission = []
tls_listen = []
inbox_listen = [{f'"127.0.0.1:{_free_port()}"' if is_verp else ""}]
connections_per_minute = 1000000000
errors_per_minute = 1000000
auth_without_tls = true
max_connections_per_address = 399
max_size_bytes = 30000000
max_recipients = 1000
[limits]
rcpts_per_hour = {_EVERYTHING}
rcpts_per_day = {_EVERYTHING}
unique_rcpts_per_hour = 0
new_unique_rcpts_per_hour = 0
newcomer_rcpts_per_hour = {_EVERYTHING}
[content]
model = "{"none" if is_plain else "shipped"}"
[delivery]
mode = "sink"
smarthost = "127.0.0.1:{os.environ["RACE_SINK_PORT"]}"
connections = {os.environ["RACE_CONCURRENCY"]}
messages_per_connection = 1000
first_retry_seconds = 3
max_retry_seconds = 8
host_failure_seconds = 2
timeout_seconds = 15
[dkim]
domain = "{"" if is_plain else "race.test"}"
[verp]
domain = "{"bounce.race.test" if is_verp else ""}"
[web]
listen = ""
[control]
listen = "127.0.0.1:{control}"
"""


async def _accounts(folder: Path, logins: list[list[str]]) -> None:
    state = await State.open(f"sqlite:///{folder / 'state.sqlite'}", "mw1", SystemClock())
    try:
        for login, password in logins:
            # its clients send as anybody, and each failure must be reported to its envelope sender
            await state.add_account(Account(login, domains=(EVERY_DOMAIN,)), _ADMIN)
            await state.add_credential(login, login, password, _ADMIN)
    finally:
        await state.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    main()
