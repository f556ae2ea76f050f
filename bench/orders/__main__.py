"""Gives each order of the dashboard by mouse and looks for its effect: python -m bench.orders CONFIG FOLDER

On a running demo. A trial opens a page as ada, an admin, presses, answers the dialog, and then asks the control API,
the command line, the audit log and the page whether it came true; others look for what one may not, and for what is
said of wrong values. Writes a picture of each step and a line a trial. It changes what it is pointed at: demo data
only. Exits with 1 when something was not seen.
"""

import argparse
import re
import sys
import time
from contextlib import ExitStack
from pathlib import Path

from playwright.sync_api import Browser, Error, sync_playwright

from analytics.client import QueryClient, QueryError
from bench.orders import cases, delivery, ends, messages, setup, warehouse, wrong
from bench.orders.hands import Hands
from bench.orders.proof import Missing, Proof, Trial
from bench.pictures import launched
from relay.control.client import ControlClient, ControlError
from relay.settings import Settings, load
from relay.tree import Role
from relay.users.views import NewUser, TokenOrder

_PERSON = "ada"
_ROOMS = (cases, messages, delivery, setup, ends, warehouse, wrong)
TRIALS: dict[str, Trial] = {name: trial for room in _ROOMS for name, trial in room.TRIALS.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--url", default="", help="of the dashboard, when it is not where the settings say")
    parser.add_argument("--only", default="", help="trials whose name begins so, as a regular expression")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    chosen = {name: trial for name, trial in TRIALS.items() if re.match(options.only, name)}
    settings, wrong_ones = load(options.config), list[str]()
    with ExitStack() as stack:
        relay = stack.enter_context(ControlClient.of(settings))
        queries = stack.enter_context(QueryClient.of(settings, "admin"))
        browser = launched(stack.enter_context(sync_playwright()))
        stack.callback(browser.close)
        for name, trial in chosen.items():
            began = time.monotonic()
            line = _tried(name, trial, _proof(name, options, settings, (relay, queries), browser))
            if "NOT SEEN" in line:
                wrong_ones.append(name)
            print(f"{line} ({time.monotonic() - began:.0f} s)", flush=True)
    print(f"{len(chosen) - len(wrong_ones)} of {len(chosen)} as they should be; not: {', '.join(wrong_ones) or 'none'}")
    sys.exit(1 if wrong_ones else 0)


def _tried(name: str, trial: Trial, proof: Proof) -> str:
    try:
        trial(proof)
    except (Missing, Error, ControlError, QueryError) as error:
        proof.hands.picture("NOT SEEN")
        return f"{name}: NOT SEEN {str(error)[:1500]}\n    after: {'; '.join(proof.seen)}"
    finally:
        proof.hands.page.close()
    return f"{name}: {'; '.join(proof.seen)}"


def _proof(
    name: str,
    options: argparse.Namespace,
    settings: Settings,
    clients: tuple[ControlClient, QueryClient],
    browser: Browser,
) -> Proof:
    relay, queries = clients
    address = options.url or f"http://{settings.dashboard.listen}"

    def enter(user: str) -> Hands:
        if user not in {one.name for one in relay.users()}:
            relay.add_user(NewUser(name=user, role=Role.ADMIN))
        token = relay.make_token(user, TokenOrder(seconds=7_200)).token
        hands = Hands.signed_in(browser, address, token, options.folder)
        hands.name = name
        return hands

    return Proof(enter(_PERSON), address, relay, queries, settings, options.config, _PERSON, enter)


if __name__ == "__main__":
    main()
