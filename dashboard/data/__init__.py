"""What the pages know: every question to analytics and to the relay, and the last good answer to each.

A service that does not answer never breaks a page: the page gets what it was told last, and since when that is old.
Answers are shared between readers for a few seconds, so that ten open dashboards ask as much as one.
"""

import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

import pandas as pd
import streamlit as st

from analytics.client import AnalyticsDown, QueryClient, QueryError
from dashboard import zone
from dashboard.data.columns_of_cases import COLUMNS as CASES
from dashboard.data.columns_of_delivery import COLUMNS as DELIVERY
from dashboard.entry.keeper import Reader
from relay import settings as relay_settings
from relay.cases.views import AlarmMark, SenderNote, SignalsView
from relay.control.client import ControlClient, ControlError, ControlUnreachable, base_url
from relay.control.shaping.views import DestinationView
from relay.control.views import AccountView, DecisionView, HeldView, SenderView
from relay.holds.views import HeldGroupView
from relay.policy import file as policy_file
from relay.resellers.brand import NO_BRAND, Brand
from relay.resellers.views import brand_of_view
from relay.settings import Policy, Settings
from relay.tree import Principal, Role

T = TypeVar("T")

FRESH_SECONDS = 2.0  # as often as the live fragments run
SLOW_FRESH_SECONDS = 5.0  # for what changes slowly or costs more
RETRY_SECONDS = 2.0  # after a failure the service is left alone this long: a page asks it several things
KEPT_ANSWERS = 500
KEPT_CLIENTS = 200  # readers at once
READER = "reader"
TIMEOUT_SECONDS = 8.0  # a page says who is slow rather than wait with it

# The named queries' columns: a page may read any of them, even when an older analytics does not send it.
COLUMNS = {
    "tiles": (
        "accepted held refused delivered bounced complaints p50_delay_seconds p95_delay_seconds "
        "prev_accepted prev_held prev_refused prev_delivered prev_bounced prev_complaints "
        "prev_p50_delay_seconds prev_p95_delay_seconds"
    ),
    "flow": "bucket_at accepted held refused delivered",
    "delay": "bucket_at p50_seconds p95_seconds delivered",
    "senders": "sender account messages held refused delivered bounced complaints mean_score last_at score band",
    "sender_summary": (
        "first_at last_at messages held refused delivered bounced complaints scripts score low high band n points_json"
    ),
    "sender_flow": "bucket_at accepted held refused delivered mean_score",
    "sender_messages": "message_id received_at action rule score mail_from recipients subject script outcome text",
    "message": "message_id action status script recipients tries held_events complaints trace reasons",
    "decisions": (
        "decision_id author account reseller sender effect rule reason evidence certainty value starts_at ends_at "
        "supersedes policy_version model superseded_by"
    ),
    "destinations": "destination delivered deferred bounced p95_seconds last_text",
    "jobs": (
        "job last_started_at last_seconds last_status last_error next_run_at last_success_at failures every_seconds"
    ),
    "ingest": "files rows corrupt_files last_at behind_files",
    "corrupt": "file reason set_aside_at",
    "usage": (
        "reseller account begins_at messages recipients bytes held rejected throttled delivered bounced expired dropped"
    ),
    "model_runs": "logged_at model active learnt judged passes why slices",
    "labelled": "message_id label weight origin said_at account sender subject score model action reasons",
    "score_days": "day_at bin messages",
    "webhook_calls": (
        "logged_at webhook url account sender event_id condition attempt code error seconds is_delivered is_final"
    ),
    "listings": "address zone status answer checked_at entity_kind confirmed since_at codes",
} | (CASES | DELIVERY)


@dataclass(frozen=True, slots=True)
class Window:
    """A span of time that ends now, and the bucket its charts are drawn in."""

    name: str
    span: timedelta
    bucket_seconds: int
    words: str

    @property
    def bucket_words(self) -> str:
        minutes = self.bucket_seconds // 60
        return "a minute" if minutes == 1 else f"per {minutes} min" if minutes < 60 else f"per {minutes // 60} h"

    def since(self, now: datetime) -> datetime:
        """Its beginning, on a bucket's edge, so that all charts of a page begin alike."""
        edge = int((now - self.span).timestamp()) // self.bucket_seconds * self.bucket_seconds
        return datetime.fromtimestamp(edge, now.tzinfo)


WINDOWS = {
    "15m": Window("15m", timedelta(minutes=15), 60, "the last 15 minutes"),
    "1h": Window("1h", timedelta(hours=1), 60, "the last hour"),
    "24h": Window("24h", timedelta(hours=24), 900, "the last 24 hours"),
    "7d": Window("7d", timedelta(days=7), 7200, "the last 7 days"),
}
DEFAULT_WINDOW = "1h"


@dataclass(frozen=True, slots=True)
class Reading(Generic[T]):
    """An answer, when it was given, and what is wrong if that is not now. `as_of` None: there never was one.

    `is_down`: nobody answered, in contrast to an answer that was a refusal.
    """

    value: T
    as_of: datetime | None
    trouble: str = ""
    is_down: bool = False

    @property
    def is_fresh(self) -> bool:
        return not self.trouble


class Memory:
    """The last good answers, for all readers of this process; bounded."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._asking: dict[Hashable, threading.Lock] = {}
        self._known: OrderedDict[Hashable, tuple[float, Reading[Any]]] = OrderedDict()
        self._failed: dict[str, tuple[float, str]] = {}

    def read(
        self, service: str, key: Hashable, ask: Callable[[], T], empty: T, fresh_seconds: float = FRESH_SECONDS
    ) -> Reading[T]:
        """Return an answer at most `fresh_seconds` old, else ask; one reader asks, the others wait for its answer."""
        with self._lock:
            asking = self._asking.setdefault(key, threading.Lock())
        with asking:
            asked, known = self._known.get(key, (float("-inf"), Reading(empty, None)))
            failed, trouble = self._failed.get(service, (float("-inf"), ""))
            now = time.monotonic()
            if trouble and now - failed < RETRY_SECONDS:
                return replace(known, trouble=trouble, is_down=True)
            if now - asked < fresh_seconds:
                return known
            return self._ask(service, key, ask, known)

    def _ask(self, service: str, key: Hashable, ask: Callable[[], T], known: Reading[T]) -> Reading[T]:
        try:
            value = ask()
            answer = Reading(value, datetime.now(UTC) - _age(value))
        except (AnalyticsDown, ControlUnreachable, OSError) as error:
            self._failed[service] = (time.monotonic(), str(error))
            return replace(known, trouble=str(error) or type(error).__name__, is_down=True)
        except (QueryError, ControlError) as error:  # it answers, but not this: the others may still be asked
            return replace(known, trouble=str(error))
        with self._lock:
            self._failed.pop(service, None)
            self._known[key] = (time.monotonic(), answer)
            self._known.move_to_end(key)
            while len(self._known) > KEPT_ANSWERS:
                self._asking.pop(self._known.popitem(last=False)[0], None)
        return answer

    def forget(self, service: str) -> None:
        """Ask again at the next reading: something was changed."""
        with self._lock:
            for key, (_, reading) in self._known.items():
                if isinstance(key, tuple) and key[0] == service:
                    self._known[key] = (float("-inf"), reading)


def _age(value: object) -> timedelta:
    """How old an answer was when it came: analytics gives dear ones again for a while."""
    return timedelta(seconds=value.attrs.get("age_seconds", 0)) if isinstance(value, pd.DataFrame) else timedelta()


@st.cache_resource(show_spinner=False)
def memory() -> Memory:
    return Memory()


def settings() -> Settings:
    """The settings this process was started with. Raises SettingsError."""
    return _settings(os.environ.get("MAILWEIR_CONFIG", ""), str(Path.cwd()))


def now() -> datetime:
    """This instant in the reader's zone: what is written with it is written in that."""
    return datetime.now(zone.zone())


def reader() -> Reader:
    """Who looks; app.py has sent everybody else away."""
    found = st.session_state.get(READER)
    return found if isinstance(found, Reader) else Reader(Principal("dashboard", Role.ABUSE))


def query(
    name: str, window: Window | None = None, *, fresh_seconds: float = FRESH_SECONDS, **params: Any
) -> Reading[pd.DataFrame]:
    """Ask analytics a named query. The frame has at least the columns of COLUMNS; it is shared, never change it."""
    chosen, whose = settings(), reader()
    columns = COLUMNS[name].split()

    def ask() -> pd.DataFrame:
        asked = dict(params)
        if window is not None:
            asked["since"] = window.since(now()).isoformat()
        frame = _analytics(chosen, whose.token).frame(name, **asked)
        return frame.reindex(columns=[*frame.columns, *(c for c in columns if c not in frame.columns)])

    key = ("analytics", str(chosen.dir), whose, name, window.name if window else "", tuple(sorted(params.items())))
    return memory().read("analytics", key, ask, pd.DataFrame(columns=columns), fresh_seconds)


def row(reading: Reading[pd.DataFrame]) -> dict[str, Any]:
    """The first row as plain values, NaN and NaT as None; {} when there is none."""
    if reading.value.empty:
        return {}
    first = reading.value.iloc[0]
    return {str(name): (None if _is_missing(first[name]) else first[name]) for name in reading.value.columns}


def instant(value: Any) -> datetime | None:
    """A cell of a frame as an aware instant."""
    if _is_missing(value):
        return None
    stamp = pd.Timestamp(value)
    found: datetime = (stamp.tz_localize(UTC) if stamp.tzinfo is None else stamp.tz_convert(UTC)).to_pydatetime()
    return found


def relay_status() -> Reading[dict[str, Any]]:
    return _relay("status", lambda relay: relay.status(), {})


def policy() -> Policy:
    """The policy that judges: the relay's, or while it has never answered that of the settings file."""

    def ask(client: ControlClient) -> Policy:
        try:
            return policy_file.read(client.policy().text)
        except policy_file.PolicyError:  # of a newer relay, whose keys this page does not know
            return settings().policy

    return _relay("policy", ask, settings().policy, SLOW_FRESH_SECONDS).value


def relay_queue() -> Reading[dict[str, Any]]:
    return _relay("queue", lambda relay: relay.queue(), {})


def decisions(*, open_only: bool = False, limit: int = 200) -> Reading[list[DecisionView]]:
    """Decisions, youngest first, as the relay knows them now."""
    return _relay(f"decisions {open_only} {limit}", lambda relay: relay.decisions(open_only=open_only, limit=limit), [])


def decision(decision_id: str) -> Reading[DecisionView | None]:
    return _relay(f"decision {decision_id}", lambda relay: relay.decision(decision_id), None)


def sender(key: str) -> Reading[SenderView | None]:
    return _relay(f"sender {key}", lambda relay: relay.sender(key), None)


def account(name: str) -> Reading[AccountView | None]:
    return _relay(f"account {name}", lambda relay: relay.account(name), None, SLOW_FRESH_SECONDS)


def held(key: str, limit: int = 100) -> Reading[list[HeldView]]:
    return _relay(f"held {key} {limit}", lambda relay: relay.held(sender=key, limit=limit), [])


def held_groups(by: Literal["sender", "cluster", "rule"], limit: int = 100) -> Reading[list[HeldGroupView]]:
    """Parked mail by sender, text or rule, the fullest group first."""
    return _relay(f"groups {by} {limit}", lambda relay: relay.held_groups(by, limit=limit), [], SLOW_FRESH_SECONDS)


def signals(key: str) -> Reading[SignalsView | None]:
    """What the triggers see of a sender now; None also while it has sent nothing."""
    return _relay(f"signals {key}", lambda relay: relay.signals(key), None)


def notes(key: str) -> Reading[list[SenderNote]]:
    return _relay(f"notes {key}", lambda relay: relay.notes(key), [], SLOW_FRESH_SECONDS)


def destinations() -> Reading[list[DestinationView]]:
    """Destinations with what is in force at them."""
    return _relay("destinations", lambda relay: relay.destinations(), [], SLOW_FRESH_SECONDS)


def alarm_marks() -> Reading[list[AlarmMark]]:
    """What people said of alarms."""
    return _relay("alarm marks", lambda relay: relay.alarm_marks(), [])


def audit(limit: int = 20) -> Reading[list[Any]]:
    return _relay(f"audit {limit}", lambda relay: relay.audit(limit=limit), [])


def ask_relay(
    name: str, ask: Callable[[ControlClient], T], empty: T, fresh_seconds: float = SLOW_FRESH_SECONDS
) -> Reading[T]:
    """Ask the relay something as the reader; `name` tells this question from others. For what changes slowly."""
    return _relay(name, ask, empty, fresh_seconds)


def own_brand() -> Brand:
    """The reader's reseller's; none for who sees everything, and while the relay has never answered."""
    if reader().sees_everything:
        return NO_BRAND
    return ask_relay("brand", lambda relay: brand_of_view(relay.own_brand()), NO_BRAND).value


def relay_client() -> ControlClient:
    """The one that acts, as the reader. Raises OSError while there is no token yet."""
    chosen, token = settings(), reader().token
    return _control(chosen.control.listen, token or _token_mark(chosen), token, chosen)


def analytics_client() -> QueryClient:
    """The one that asks, as the reader; shared, never close it."""
    return _analytics(settings(), reader().token)


def new_analytics_client(*, timeout_seconds: float) -> QueryClient:
    """One that waits longer, for whoever closes it."""
    chosen, token = settings(), reader().token
    if token:
        return QueryClient(base_url(chosen.analytics.listen), token, timeout_seconds=timeout_seconds)
    return QueryClient.of(chosen, name="dashboard", timeout_seconds=timeout_seconds)


def _relay(name: str, ask: Callable[[ControlClient], T], empty: T, fresh_seconds: float = FRESH_SECONDS) -> Reading[T]:
    key = ("relay", str(settings().dir), reader(), name)
    return memory().read("relay", key, lambda: ask(relay_client()), empty, fresh_seconds)


@st.cache_resource(show_spinner=False)
def _settings(config: str, folder: str) -> Settings:
    return relay_settings.load()


def _analytics(chosen: Settings, token: str) -> QueryClient:
    return _query_client(chosen.analytics.listen, token or _token_mark(chosen), token, chosen)


@st.cache_resource(show_spinner=False, max_entries=KEPT_CLIENTS, on_release=QueryClient.close)
def _query_client(listen: str, mark: str, _token: str, _settings: Settings) -> QueryClient:
    if _token:
        return QueryClient(base_url(listen), _token, timeout_seconds=TIMEOUT_SECONDS)
    return QueryClient.of(_settings, name="dashboard", timeout_seconds=TIMEOUT_SECONDS)


@st.cache_resource(show_spinner=False, max_entries=KEPT_CLIENTS, on_release=ControlClient.close)
def _control(listen: str, mark: str, _token: str, _settings: Settings) -> ControlClient:
    if _token:
        return ControlClient(base_url(listen), _token, timeout_seconds=TIMEOUT_SECONDS)
    return ControlClient.of(_settings, name="dashboard", timeout_seconds=TIMEOUT_SECONDS)


def _token_mark(chosen: Settings) -> str:
    """Changes when the token does: it is made at the relay's first start, which may be after ours."""
    path = chosen.tokens_dir / "dashboard.token"
    return f"{path} {path.stat().st_mtime_ns if path.exists() else 0}"


def _is_missing(value: Any) -> bool:
    return value is None or value is pd.NaT or (isinstance(value, float) and value != value)
