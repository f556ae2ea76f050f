"""What waits for somebody beside decisions: addresses on lists, slowed destinations, silent feeds, jobs, alarms.

Each is a row with its words, how to answer, and a link to where it is looked at. What was silenced or acknowledged is
counted, not hidden.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd
import streamlit as st

from dashboard import actions, data
from dashboard.actions import Kind
from dashboard.components import places
from dashboard.components.words import ago, count, plain, share, short, when
from dashboard.data import delivery
from relay.cases.alarms import mark_of
from relay.cases.views import AlarmMark
from relay.control.webhooks.conditions import CONDITIONS, of_alarm
from relay.tree import Role, Scope

_SLOW = data.SLOW_FRESH_SECONDS
# An alarm of these only repeats what another row says, with more.
_SOLVED_AT: dict[str, tuple[str, dict[str, str]]] = {
    "customer_configuration": ("customers", {"part": "Domains"}),
    "ip_no_sender_id": ("customers", {"part": "Servers"}),
    "ip_delisted": ("ips", {}),
    "provider_deferral": ("destinations", {}),
    "queue_age": ("destinations", {}),
    "model_drift": ("lab", {}),
    "retrain_rejected": ("lab", {}),
}
_TOLD_ELSEWHERE = {"ip_listed": "listings", "job_failed": "jobs", "feed_stale": "feeds"}


@dataclass(frozen=True, slots=True)
class Need:
    """One thing. `page`: where it is looked at, `chosen` there; `alarm`: condition, account, subject, to answer by."""

    words: str
    icon: str
    page: str
    link: str
    alarm: tuple[str, str, str] | None = None
    chosen: Mapping[str, str] = field(default_factory=dict)


def waiting() -> tuple[list[Need], list[str]]:
    """What nobody has answered, and in words what somebody has."""
    marks = data.alarm_marks().value
    found = [*_listings(), *_deferring(), *_slowed(), *_feeds(), *_jobs(), *_corrupt()]
    kept, answered = _unanswered(found, marks)
    alarms, more = _alarms(marks)
    return kept + alarms, answered + more


def rows(needs: Sequence[Need]) -> None:
    """Each as a line with its link, and its answer for those who may give one."""
    for number, need in enumerate(needs):
        with st.container(border=True, horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
            st.markdown(f":orange-badge[:material/{need.icon}: {need.link}] {need.words}", width="stretch")
            if need.alarm and data.reader().may(Role.ABUSE):
                condition, account, subject = need.alarm
                st.button(
                    "Answer",
                    key=f"need-{number}-{condition}-{account}-{subject}",
                    icon=":material/notifications_paused:",
                    help="Acknowledge it, or silence it for a time",
                    on_click=actions.request,
                    args=(Kind.ALARM, condition, "", (account, subject)),
                )
            places.page_link(need.page, "Open", "arrow_forward", **need.chosen)


def _unanswered(found: Sequence[Need], marks: Sequence[AlarmMark]) -> tuple[list[Need], list[str]]:
    """Only a silence covers what still goes on: that it was seen does not end it, but takes it off the list too."""
    kept, answered = [], []
    for need in found:
        mark = mark_of(marks, need.alarm, _began(need.alarm)) if need.alarm else None
        if mark is None:
            kept.append(need)
        else:
            answered.append(_said(need.link, mark))
    return kept, answered


def _began(alarm: tuple[str, str, str]) -> pd.Timestamp:
    """When the alarm that belongs to it was last raised; before all marks when none was."""
    raised = _raised()
    same = raised[(raised["condition"] == alarm[0]) & (raised["account"] == alarm[1]) & (raised["subject"] == alarm[2])]
    return pd.Timestamp(same["logged_at"].max()) if len(same) else pd.Timestamp(0, tz="UTC")


def _raised() -> pd.DataFrame:
    return data.query("alarms", data.WINDOWS["7d"], fresh_seconds=_SLOW).value


def _alarms(marks: Sequence[AlarmMark]) -> tuple[list[Need], list[str]]:
    kept, answered = [], []
    for row in _raised().itertuples():
        key = (str(row.condition), str(row.account or ""), str(row.subject or ""))
        if key[0] in _TOLD_ELSEWHERE:
            continue
        mark = mark_of(marks, key, pd.Timestamp(row.logged_at))
        name = _name(key[0])
        if mark is not None:
            answered.append(_said(name, mark))
            continue
        times = f", {count(row.times)} times" if row.times > 1 else ""
        when = f":gray[:small[{ago(data.instant(row.logged_at), data.now())}{times}]]"
        words = f"{plain(short(str(row.text or ''), 180))} {when}"
        page, chosen = where(key[0], key[1], key[2])
        kept.append(Need(words, "notification_important", page, name, key, chosen))
    return kept, answered


def where(condition: str, account: str, subject: str) -> tuple[str, dict[str, str]]:
    """The page where an alarm can be solved, and what to choose on it.

    >>> where("customer_configuration", "acme", "")
    ('views/customers.py', {'part': 'Domains'})
    """
    if condition == "provider_deferral" and subject:
        return "views/destinations.py", {"destination": subject}
    page, chosen = _SOLVED_AT.get(of_alarm(condition), ("system", {}))
    return f"views/{page}.py", dict(chosen)


def _name(condition: str) -> str:
    return plain(CONDITIONS.get(of_alarm(condition), condition.replace("_", " ").capitalize()))


def _said(name: str, mark: AlarmMark) -> str:
    until = f" until {when(mark.until, data.now())}" if mark.until else ""
    why = f": {plain(mark.why)}" if mark.why else ""
    return f"{name} · {mark.kind} by {plain(mark.author)}{until}{why}"


def _listings() -> list[Need]:
    found = data.query("listings", fresh_seconds=_SLOW).value
    found = found[found["confirmed"].eq(True)]
    names = {row.address: row.name for row in delivery.sources().value} if len(found) else {}
    return [
        Need(
            f"**{plain(str(row.address))}** is listed on {plain(str(row.zone))}",
            "report",
            "views/ips.py",
            "Listed address",
            ("ip_listed", "", str(row.address)),
            {"source": names[str(row.address)]} if str(row.address) in names else {},
        )
        for row in found.itertuples()
    ]


def _slowed() -> list[Need]:
    """Destinations with something in force that the relay put there; only who sees the whole node is told."""
    if data.reader().principal.scope != Scope():
        return []
    slowed = [one for one in data.destinations().value if one.effects]
    if not slowed:
        return []
    names = ", ".join(plain(one.destination) for one in slowed[:4]) + (" …" if len(slowed) > 4 else "")
    words = f"**{count(len(slowed))}** destination{'' if len(slowed) == 1 else 's'} slowed or suspended: {names}"
    chosen = {"destination": slowed[0].destination} if len(slowed) == 1 else {}
    return [Need(words, "speed", "views/destinations.py", "Destinations", chosen=chosen)]


def _deferring() -> list[Need]:
    """Destinations that put off nearly everything, whether or not a rule slows them down for it."""
    if data.reader().principal.scope != Scope():
        return []
    return [
        Need(
            f"**{plain(one.destination)}** puts off {share(one.deferred, one.tries)} of the tries in 15 minutes; "
            f"**{count(one.waits.waiting)}** wait{'s' if one.waits.waiting == 1 else ''}, the oldest since "
            f"{ago(delivery.oldest(one.waits), data.now())}",
            "schedule",
            "views/destinations.py",
            "Put off",
            chosen={"destination": one.destination},
        )
        for one in delivery.deferring()
    ]


def _feeds() -> list[Need]:
    found = data.query("feeds", fresh_seconds=_SLOW).value
    return [
        Need(
            f"The feed **{plain(str(row.kind))}** of {plain(str(row.source))} brings nothing any more",
            "rss_feed",
            "views/complaints.py",
            "Silent feed",
            ("feed_stale", "", f"{row.kind}/{row.source}"),
        )
        for row in found[found["is_stale"].eq(True)].itertuples()
    ]


def _jobs() -> list[Need]:
    found = data.query("jobs", fresh_seconds=_SLOW).value
    return [
        Need(
            f"Job **{plain(str(row.job))}** failed: {plain(short(str(row.last_error or ''), 120))}",
            "error",
            places.SYSTEM_PAGE,
            "Job",
            ("job_failed", "", str(row.job)),
        )
        for row in found[found["last_status"].isin(["failed", "error"])].itertuples()
    ]


def _corrupt() -> list[Need]:
    number = data.row(data.query("ingest")).get("corrupt_files") or 0
    if not number:
        return []
    words = f"**{count(number)}** corrupt journal file{'' if number == 1 else 's'} set aside"
    return [Need(words, "broken_image", places.SYSTEM_PAGE, "Journal")]
