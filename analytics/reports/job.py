"""The job that looks after the feeds: whose the domains are, which have stopped, what is old."""

import logging
from collections.abc import Callable

from analytics.jobs import Job, RaiseAlarm
from analytics.reports.feeds import Feeds
from relay.control.client import ControlClient, ControlError

_log = logging.getLogger("mailweir.feeds")

EVERY_SECONDS = 600.0


def feed_job(feeds: Feeds, relay: Callable[[], ControlClient], raise_alarm: RaiseAlarm, days: int) -> Job:
    """`days`: how long files and rows stay."""

    def look() -> str:
        changed = _learn_owners(feeds, relay)
        silent, forgotten = feeds.watch(raise_alarm), feeds.forget(days)
        if not (changed or silent or forgotten):
            return ""
        return f"owners {'changed' if changed else 'as before'}, {silent} feeds silent, {forgotten} rows and files gone"

    return Job("feeds", EVERY_SECONDS, look)


def _learn_owners(feeds: Feeds, relay: Callable[[], ControlClient]) -> bool:
    try:
        with relay() as asked:
            accounts = asked.accounts()
    except ControlError as error:  # what was known of them still holds
        _log.info("owners of domains not learnt error=%s", error)
        return False
    owners = [(domain.lower(), one.name, one.reseller) for one in accounts for domain in one.domains]
    return feeds.own([owner for owner in owners if owner[0] != "*"])
