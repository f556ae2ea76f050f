"""The demo's folder: settings, accounts and logins, made once and kept; ports chosen anew at each start.

Must never touch a folder that is not a demo's own.
"""

import contextlib
import os
import shutil
import socket
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import msgspec

from analytics.simulation.receivers import CATCH_ALL
from analytics.simulation.world import Customer, World
from relay.clock import Clock
from relay.control.accounts.commands import Accounts
from relay.control.accounts.views import Limits, NewAccount
from relay.control.desk import Desk
from relay.control.state.database import default_url
from relay.control.state.lock import acquire
from relay.control.state.memory import State
from relay.running.ports import taken
from relay.settings import Settings, load
from relay.tree import Principal, Role

NODE = "demo1"
DEFAULT_PORTS = {"smtp": 2525, "submission": 2587, "control": 8025, "analytics": 8026, "web": 8027, "dashboard": 8501}
_OWNER = Principal("demo", Role.ADMIN)
_MEMORY, _LOCK = "demo.json", "relay.lock"
_PORTS_TRIED = 300


class DemoError(Exception):
    """The demo cannot be made or played; the text says why and what to do."""


class Memory(msgspec.Struct, kw_only=True):
    """What a demo remembers between two starts. `runs` counts the stories played."""

    seed: int
    made_at: datetime
    runs: int = 0
    passwords: dict[str, str] = {}
    ports: dict[str, int] = {}
    is_complete: bool = False


@dataclass(frozen=True, slots=True)
class Installation:
    """A demo that is ready to start. `notes`: which default ports are taken, and by whom."""

    folder: Path
    settings: Settings
    memory: Memory
    notes: list[str]

    @property
    def config(self) -> Path:
        return self.folder / "mailweir.toml"

    def remember(self) -> None:
        """Write what this demo remembers, readable by its owner only: the logins' passwords are in it."""
        path = self.folder / _MEMORY
        draft = path.with_suffix(".new")
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(self.memory), indent=2))
        draft.replace(path)


@dataclass(frozen=True, slots=True)
class InstallOptions:
    """`reset`: throw away what is there. `any_ports`: not even try the default ports. `fill` is called for a new demo
    when settings and accounts are there; it writes the history."""

    fill: Callable[[Installation], Awaitable[None]]
    reset: bool = False
    any_ports: bool = False


def default_folder() -> Path:
    """The demo's folder in the project's tree when it may be written there, else in the user's home."""
    tree = Path(__file__).resolve().parents[2]
    if (tree / "pyproject.toml").exists() and os.access(tree, os.W_OK):
        return tree / "data" / "run" / "demo"
    return Path.home() / ".local" / "share" / "mailweir" / "demo"


async def install(
    folder: Path, world: World, clock: Clock, receivers: Mapping[str, int], options: InstallOptions
) -> Installation:
    """Make or find the demo in `folder`, an absolute path, and write its settings for free ports.

    One that is unfinished or of another seed is made again. `receivers`: the port of each provider.
    Raises DemoError; AlreadyRunning when a relay works in the folder.
    """
    _require_own(folder)
    try:
        with acquire(folder):
            return await _install(folder, world, clock, receivers, options)
    except OSError as error:
        raise DemoError(f"{folder}: cannot write there ({error.strerror}); give another folder with --dir") from None


async def _install(
    folder: Path, world: World, clock: Clock, receivers: Mapping[str, int], options: InstallOptions
) -> Installation:
    memory = None if options.reset else _recall(folder)
    if memory is None or not memory.is_complete or memory.seed != world.seed:
        _empty(folder)
        memory = Memory(seed=world.seed, made_at=clock.now())
    memory.ports, notes = _any_ports() if options.any_ports else _choose_ports()
    (folder / "mailweir.toml").write_text(_config(folder, memory.ports, world, receivers))
    made = Installation(folder, load(folder / "mailweir.toml"), memory, notes)
    made.remember()
    if not memory.is_complete:
        await _add_accounts(made, world, clock)
        await options.fill(made)
        memory.is_complete = True
        made.remember()
    return made


def _empty(folder: Path) -> None:
    """Remove everything but the lock that is held on the folder."""
    for path in folder.iterdir():
        if path.name == _LOCK:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


async def _add_accounts(made: Installation, world: World, clock: Clock) -> None:
    """Give every customer an account and a login."""
    state = await State.open(default_url(made.settings.dir), made.settings.node.name, clock)
    try:
        accounts = Desk(state, clock, lambda account: (0, 0)).accounts
        for customer in world.customers:
            if customer.account not in state.accounts:
                made.memory.passwords[customer.account] = await _add(accounts, customer)
    finally:
        await state.close()


async def _add(accounts: Accounts, customer: Customer) -> str:
    added = await accounts.add(
        _OWNER,
        NewAccount(
            name=customer.account,
            reseller=customer.reseller,
            shared_host=customer.shared_host,
            contact=customer.contact,
            sender_limits=Limits(rcpts_per_hour=customer.rcpts_per_hour),
            domains=list(customer.domains),
            login=customer.account,
        ),
    )
    assert added.secret is not None
    return added.secret.password


def _require_own(folder: Path) -> None:
    if not folder.exists():
        return
    if not folder.is_dir():
        raise DemoError(f"{folder} is not a folder; give another one with --dir")
    if {path.name for path in folder.iterdir()} - {_LOCK} and not (folder / _MEMORY).exists():
        raise DemoError(f"{folder} holds something that is not a demo; give an empty or new folder with --dir")


def _recall(folder: Path) -> Memory | None:
    try:
        return msgspec.json.decode((folder / _MEMORY).read_bytes(), type=Memory)
    except FileNotFoundError:
        return None
    except msgspec.DecodeError as error:
        raise DemoError(f"{folder / _MEMORY} cannot be read ({error}); start over with --reset") from None


def _any_ports() -> tuple[dict[str, int], list[str]]:
    with contextlib.ExitStack() as stack:  # held together, so that all differ
        probes = {name: stack.enter_context(socket.socket()) for name in DEFAULT_PORTS}
        for probe in probes.values():
            probe.bind(("127.0.0.1", 0))
        return {name: int(probe.getsockname()[1]) for name, probe in probes.items()}, []


def _choose_ports() -> tuple[dict[str, int], list[str]]:
    chosen: dict[str, int] = {}
    notes = []
    for name, default in DEFAULT_PORTS.items():
        chosen[name] = _next_free(default, {*chosen.values(), *DEFAULT_PORTS.values()} - {default})
        conflict = taken(f"127.0.0.1:{default}") if chosen[name] != default else None
        if conflict:
            notes.append(f"{conflict}: {name} is on port {chosen[name]} instead")
    return chosen, notes


def _next_free(wanted: int, others: set[int]) -> int:
    for port in range(wanted, wanted + _PORTS_TRIED):
        if port not in others and taken(f"127.0.0.1:{port}") is None:
            return port
    raise DemoError(f"no free port from {wanted} to {wanted + _PORTS_TRIED - 1} on 127.0.0.1")


def _config(folder: Path, ports: Mapping[str, int], world: World, receivers: Mapping[str, int]) -> str:
    routes = "".join(
        f'\n[[route]]\ndomain = "{domain}"\nhost = "127.0.0.1"\nport = {receivers[one.name]}\nprovider = "{one.name}"\n'
        for one in world.providers
        for domain in one.domains
    )
    return _CONFIG.format(
        folder=str(folder).replace("\\", "\\\\").replace('"', '\\"'),
        node=NODE,
        elsewhere=receivers[CATCH_ALL.name],
        routes=routes,
        **ports,
    )


_CONFIG = """\
# Settings of the demo. `mailweir demo` writes this file at each start, as ports may have changed: edits are lost.
# To look around while it runs:  export MAILWEIR_CONFIG={folder}/mailweir.toml
# Everything listens on loopback, and no mail can leave this machine: see [delivery] and the routes.

dir = "{folder}"
demo = true                        # marks every record and page as demo data

[node]
name = "{node}"
hostname = "demo.mailweir.example"

[smtp]
listen = ["127.0.0.1:{smtp}"]
submission = ["127.0.0.1:{submission}"]
tls_listen = []
inbox_listen = []

[delivery]
mode = "smarthost"                 # what no route names goes to the catch-all receiver of the demo
smarthost = "127.0.0.1:{elsewhere}"
first_retry_seconds = 2            # the simulated providers greylist for one second
max_retry_seconds = 60
host_failure_seconds = 2

[suppression]
hard_bounces = false               # the story writes to the same few people again and again, the missing ones too

[dkim]
domain = "mailweir.example"

[web]
listen = "127.0.0.1:{web}"

[control]
listen = "127.0.0.1:{control}"

[analytics]
listen = "127.0.0.1:{analytics}"
reputation_seconds = 15            # so that one need not wait for it

[dashboard]
listen = "127.0.0.1:{dashboard}"

# The simulated mailbox providers.
{routes}"""
