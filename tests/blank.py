"""An empty, migrated warehouse or state, copied: making one anew costs 80 and 50 ms, a thousand times.

Made once in each process of the tests. The migrations themselves run in tests/analytics/test_warehouse.py,
tests/relay/test_accounts_state.py, tests/e2e, and wherever a relay or analytics starts in an empty folder.
"""

import asyncio
import atexit
import functools
import shutil
import tempfile
import threading
from pathlib import Path

from relay.clock import Clock, SystemClock
from relay.control.state.database import default_url
from relay.control.state.memory import State


def put_warehouse(path: Path) -> None:
    """Put an empty warehouse at a path where there is none yet."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(_warehouse(), path)


async def opened_state(folder: Path, clock: Clock, node: str = "mw1") -> State:
    """The state of a node's folder, which is an empty one at first."""
    path = folder / "state.sqlite"
    if not path.exists():
        shutil.copyfile(_state(), path)
        path.chmod(0o600)
    return await State.open(default_url(folder), node, clock)


@functools.cache
def _folder() -> Path:
    folder = tempfile.mkdtemp(prefix="mailweir-blank-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


@functools.cache
def _warehouse() -> Path:
    from analytics.warehouse import Warehouse  # not for the tests that need nothing of analytics

    path = _folder() / "warehouse.duckdb"
    Warehouse.open(path, path.parent).close()
    return path


@functools.cache
def _state() -> Path:
    path = _folder() / "state.sqlite"

    async def make() -> None:
        await (await State.open(default_url(path.parent), "mw1", SystemClock())).close()

    # in a thread of its own: who asks has an event loop already
    maker = threading.Thread(target=asyncio.run, args=[make()])
    maker.start()
    maker.join()
    return path
