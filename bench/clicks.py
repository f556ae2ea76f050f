"""Opens every dialog and popover of every page in Chromium and does what it asks: python -m bench.clicks CONFIG FOLDER

On a running demo, as an admin (mailweir user add ada --role admin). Each button of a page is pressed once on the page
as it opens; what asks something is filled in (by its placeholder, else with a word) and done. Writes a picture of each
dialog before and after, and a line a button: what it opened and what it said. It changes what it is pointed at: demo
data only. Exits with 1 when a page or a dialog failed.
"""

import argparse
import contextlib
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from playwright.sync_api import Error, sync_playwright

from analytics.client import QueryClient
from bench.pictures import launched
from dashboard.entry.keeper import COOKIE
from relay.control.client import ControlClient
from relay.control.views import NewDecision
from relay.policy.decisions.decision import Effect
from relay.settings import load
from relay.users.views import TokenOrder

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

_QUIET = "[data-testid=stApp][data-test-script-state=notRunning]"
_BUTTONS = "[data-testid=stMain] button[data-testid^=stBaseButton]"
_OPENED = "[role=dialog], [data-testid=stPopoverBody], [data-testid=stToast]"
_SKIPPED = re.compile(r"^(CSV|Parquet|Clear|download)$")
_OF_SENDER = ("Hold", "Slow down", "Block", "Limit", "Suspend", "Exempt", "Write a note")
_NOT_DONE = ("Remove", "Retire")  # what comes after would have nothing to act on
_ANSWERS = ("Confirm", "Not spam", "Limit", "Ask", "Suspend", "Write a note")  # to a case
_PARTS = ("Accounts", "Domains", "Servers", "Webhooks", "Users", "Brand", "Usage")


@dataclass(frozen=True, slots=True)
class Place:
    """An address, and what to do there first: press a text, or choose the first row of its first table. `only`: press
    no button but the one that begins so; without it `acts` says whether dialogs are answered."""

    name: str
    path: str
    press: str = ""
    has_row: bool = False
    only: str = ""
    acts: bool = True


def places(config: Path, only: str = "") -> Iterator[Place]:
    """Each page, with something on it that can be acted on. Stops some senders, a case for each answer, where `only`
    wants those places."""
    settings = load(config)
    with ControlClient.of(settings) as relay, QueryClient.of(settings, "admin") as queries:
        senders = queries.sql(
            "SELECT sender FROM message WHERE sender <> '' GROUP BY 1 ORDER BY count(*) DESC LIMIT 20"
        )
        wants_cases = any(re.match(only, name) for name in ("now", "decision", "case"))
        stopped = senders["sender"].iloc[: len(_ANSWERS) + 2] if wants_cases else []
        cases = [_held(relay, str(sender)) for sender in stopped]
        found = queries.sql("SELECT message_id, outcome FROM recipient ORDER BY received_at DESC LIMIT 2000")
        parked = relay.held(limit=8)
        account = relay.accounts()[0].name
    yield Place("now", "/?window=1h", acts=False)
    yield Place("decisions", "/decisions", acts=False)
    yield Place("decisions-row", "/decisions", has_row=True)
    yield from (Place("decision", f"/decisions?decision={case}", acts=False) for case in cases[:1])
    for case, label in zip(cases, _ANSWERS, strict=False):
        yield Place(f"case-{case}", f"/decisions?decision={case}", only=label)
    for label, sender in zip(_OF_SENDER, senders["sender"].iloc[::-1], strict=False):
        yield Place(f"sender-{label}", f"/sender?sender={quote(str(sender))}", only=label)
    yield Place("messages", "/messages?query=outcome:held")
    for one, label in zip(parked, ("Release", "Delete", "It is spam"), strict=False):
        yield Place(f"held-{label}", f"/messages?message={one.message_id}", only=label)
    for outcome, rows in found.groupby("outcome"):
        yield Place(f"message-{outcome}", f"/messages?message={rows['message_id'].iloc[0]}")
    yield Place("destinations", "/destinations", has_row=True)
    yield Place("ips", "/ips", has_row=True)
    yield Place("bounces", "/bounces")
    yield Place("complaints", "/complaints")
    yield Place("lab", "/lab")
    yield Place("lab-policy", "/lab", press="Policy")
    for part in _PARTS:
        yield Place(f"customers-{part.lower()}", f"/customers?part={part}")
        if part in ("Domains", "Webhooks", "Users"):
            yield Place(f"customers-{part.lower()}-row", f"/customers?part={part}", has_row=True)
    yield Place("account", f"/customers?part=Accounts&account={account}")
    yield Place("data", "/data_room")
    yield Place("system", "/system")


def _held(relay: ControlClient, sender: str) -> str:
    new = NewDecision(
        account=sender.partition("|")[0], sender=sender, effect=Effect.HOLD, rule="spam_rate", reason="tried by hand"
    )
    return relay.propose(new).decision.id


class Walker:
    """Presses what a place has. `wrong`: what failed."""

    def __init__(self, page: "Page", folder: Path, *, acts: bool) -> None:
        self._page, self._folder, self._acts, self.wrong = page, folder, acts, list[str]()

    def walk(self, place: Place) -> None:
        self._open(place)
        self._shoot(place.name)
        seen: dict[str, str] = {re.sub(r"\d+", "#", label): label for label in reversed(self._labels())}
        labels = [label for label in reversed(seen.values()) if label.startswith(place.only)]
        for label in labels:
            try:
                self._press(place, label)
            except Error as error:
                self._say(place, label, f"FAILED {str(error).splitlines()[0]}")
                self.wrong.append(f"{place.name} {label}")

    def _press(self, place: Place, label: str) -> None:
        self._open(place)
        numbers = re.sub(r"\d[\d,]*", r"[\\d,]+", re.escape(label))  # how much is parked changes under us
        button = self._buttons().filter(has_text=re.compile(f"^(?:[a-z_]+ ?)*{numbers}")).first
        if not button.count() or not button.is_enabled():
            self._say(place, label, "is not there any more, or cannot be pressed")
            return
        button.click()
        self._wait_for_answer()
        dialog = self._page.get_by_role("dialog")
        if not dialog.count():
            popover = self._page.get_by_test_id("stPopoverBody")
            self._shoot(f"{place.name}--{label}")
            self._say(place, label, "opened a popover" if popover.count() else "acted at once")
            return
        self._answer(place, label, dialog.last)

    def _answer(self, place: Place, label: str, dialog: "Locator") -> None:
        self._fill(dialog)
        self._shoot(f"{place.name}--{label}")
        said = " / ".join(dialog.get_by_test_id("stAlert").all_inner_texts())
        do = dialog.locator("button[data-testid=stBaseButton-primary]").last
        if not (self._acts and place.acts) or label in _NOT_DONE or not do.count() or not do.is_enabled():
            self._say(place, label, f"opened a dialog, not done. {said}")
            return
        do.click()
        self._settle()
        with contextlib.suppress(Error):
            self._page.wait_for_selector("[data-testid=stToast], [role=dialog] [data-testid=stAlert]", timeout=6_000)
        told = [*self._page.get_by_test_id("stToast").all_inner_texts()]
        left = self._page.get_by_role("dialog")
        told += left.last.get_by_test_id("stAlert").all_inner_texts() if left.count() else []
        self._shoot(f"{place.name}--{label}-done")
        self._say(place, label, f"done: {' / '.join(told)}")

    def _fill(self, dialog: "Locator") -> None:
        for box in dialog.locator("input[type=text]:not([role=combobox]), input[type=number], textarea").all():
            if box.is_visible() and box.is_enabled() and box.is_editable() and not box.input_value():
                words = box.get_attribute("placeholder") or "tried by hand"
                box.fill("5" if box.get_attribute("type") == "number" else words)
                box.press("Tab")
                self._settle()

    def _open(self, place: Place) -> None:
        self._page.goto(place.path)
        self._page.get_by_role("heading", level=2).first.wait_for(timeout=60_000)
        self._settle()
        if place.press:
            self._page.get_by_test_id("stMain").get_by_text(place.press, exact=True).first.click()
            self._settle()
        if place.has_row:
            self._choose()
        if self._page.get_by_test_id("stException").count() or self._page.get_by_text("could not be drawn").count():
            self.wrong.append(f"{place.name} could not be drawn")

    def _choose(self) -> None:
        canvas = self._page.locator("[data-testid=stMain] [data-testid=stDataFrame] canvas").first
        if canvas.count():
            canvas.wait_for()
            self._page.wait_for_timeout(1_500)
            canvas.scroll_into_view_if_needed()
            box = canvas.bounding_box() or {"x": 0, "y": 0}
            self._page.mouse.click(box["x"] + 16, box["y"] + 50)  # heading and row are 33 pixels high
            self._page.wait_for_timeout(1_000)
            self._settle()

    def _labels(self) -> list[str]:
        found = [_words(text) for text in self._buttons().all_inner_texts()]
        return [label for label in found if label and not _SKIPPED.match(label)]

    def _buttons(self) -> "Locator":
        return self._page.locator(_BUTTONS).locator("visible=true")

    def _wait_for_answer(self) -> None:
        """What a press opens stands there after one more run of the page, or nothing does."""
        with contextlib.suppress(Error):
            self._page.wait_for_selector(_OPENED, timeout=8_000)
        self._settle()

    def _settle(self) -> None:
        """Wait until the script rests; a live page on a busy machine hardly does."""
        self._page.wait_for_timeout(250)
        with contextlib.suppress(Error):
            self._page.wait_for_selector(_QUIET, timeout=3_000)

    def _shoot(self, name: str) -> None:
        self._page.wait_for_timeout(500)
        safe = re.sub(r"[^A-Za-z0-9-]+", "_", name)[:80]
        self._page.screenshot(path=self._folder / f"{safe}.png", full_page="--" not in name)

    def _say(self, place: Place, label: str, words: str) -> None:
        if "refused" in words.lower() or "failed" in words.lower():
            self.wrong.append(f"{place.name} {label}: {words}")
        print(f"{place.name} | {label} | {' '.join(words.split())}", flush=True)


def _words(text: str) -> str:
    """A button's words without the name of its icon, which stands on a line of its own, and without its key."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return next((line for line in lines if not re.fullmatch(r"[a-z0-9_]+", line)), "")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--user", default="ada")
    parser.add_argument("--url", default="", help="of the dashboard, when it is not where the settings say")
    parser.add_argument("--width", type=int, default=1440)
    parser.add_argument("--look-only", action="store_true", help="open the dialogs, press none of their buttons")
    parser.add_argument("--only", default="", help="places whose name begins so, as a regular expression")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    chosen = [place for place in places(options.config, options.only) if re.match(options.only, place.name)]
    with sync_playwright() as playwright:
        browser = launched(playwright)
        url = options.url or f"http://{load(options.config).dashboard.listen}"
        page = browser.new_page(viewport={"width": options.width, "height": 900}, base_url=url)
        page.context.add_cookies([{"name": COOKIE, "value": _session(options.config, options.user), "url": url}])
        walker = Walker(page, options.folder, acts=not options.look_only)
        for place in chosen:
            try:
                walker.walk(place)
            except Error as error:
                walker.wrong.append(f"{place.name}: {str(error).splitlines()[0]}")
        browser.close()
    print(*walker.wrong, sep="\n")
    sys.exit(1 if walker.wrong else 0)


def _session(config: Path, name: str) -> str:
    """A session of this user, as one that has signed in has it."""
    with ControlClient.of(load(config)) as relay:
        return relay.make_token(name, TokenOrder(seconds=7_200)).token


if __name__ == "__main__":
    main()
