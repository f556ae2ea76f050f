"""Which destinations Now says put nearly everything off: with mail waiting, with enough tries, and no greylister."""

import pandas as pd

from dashboard.data.delivery import Deferring, Waits, worst


def figures(**rows: tuple[int, int]) -> pd.DataFrame:
    return pd.DataFrame(
        [{"destination": name, "deferred": deferred, "tries": tries} for name, (deferred, tries) in rows.items()],
        columns=["destination", "deferred", "tries"],
    )


def test_who_puts_nearly_everything_off_while_mail_waits_is_named_the_most_waiting_first() -> None:
    queued = {"busy": Waits(waiting=4), "closed": Waits(waiting=28)}

    found = worst(figures(busy=(90, 100), closed=(440, 480)), queued)

    assert found == [Deferring("closed", 440, 480, queued["closed"]), Deferring("busy", 90, 100, queued["busy"])]


def test_a_greylister_few_tries_and_an_empty_queue_are_no_trouble() -> None:
    queued = {"grey": Waits(waiting=3), "few": Waits(waiting=3), "over": Waits(waiting=0, held=5)}

    assert worst(figures(grey=(520, 1_000), few=(12, 12), over=(90, 100), unknown=(90, 100)), queued) == []
    assert worst(figures(), queued) == []
