"""What counts for and against each entity: decayed sums over the rollup, and the rates of their parents.

Half-lives and priors are those of spec 2.7: spam 1 h, 6 h and 7 d (the worst one decides), hard bounce 24 h,
complaint 7 d, block by a destination 24 h.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from analytics.warehouse import Warehouse

Floats = npt.NDArray[np.float64]

_HOUR, _DAY, _WEEK = 3600, 86_400, 604_800

# Beyond six half-lives of the slowest signal less than 2 % of a count is left.
_REACH = 6 * _WEEK

# What a signal's rate is thought to be of somebody nobody knows, and how many events that thought is worth.
PRIOR_RATES = {"spam": 0.05, "hard_bounce": 0.05, "complaint": 0.001, "block": 0.05}
PRIOR_WEIGHTS = {"spam": 4.0, "hard_bounce": 10.0, "complaint": 50.0, "block": 10.0}


@dataclass(frozen=True, slots=True)
class Track:
    """One decayed count: which signal, its half-life, the columns that hold events and chances."""

    signal: str
    half_life_seconds: int
    bad: str
    seen: str


_SENT = "delivered + bounced"
TRACKS = (
    Track("spam", _HOUR, "spam", "scored"),
    Track("spam", 6 * _HOUR, "spam", "scored"),
    Track("spam", _WEEK, "spam", "scored"),
    Track("hard_bounce", _DAY, "hard_bounced", _SENT),
    Track("complaint", _WEEK, "complaints", "delivered"),
    Track("block", _DAY, "blocked", _SENT),
)
# A message leaves an address per recipient: there its score is counted when it leaves.
_ON_IP = {"spam": "sent_spam", "scored": "sent_scored"}


@dataclass(frozen=True, slots=True)
class Counts:
    """Entities of one kind. `bad` and `seen` have a row per entity and a column per track, float64; `n` are the
    messages behind it (recipients for an address), decayed by a week; `prior` the parents' rates."""

    kind: str
    entities: list[str]
    accounts: list[str]
    resellers: list[str]
    bad: Floats
    seen: Floats
    n: Floats
    prior: Floats


def senders_and_accounts(warehouse: Warehouse, now: datetime) -> tuple[Counts, Counts]:
    """Count every end sender and account of the last weeks; a sender's prior is its account's rate, an account's that
    of all, each without its own share."""
    rows = _rows(warehouse, now, "sender, account, reseller", "true", "accepted + held + rejected + throttled", {})
    bad, seen, n = _arrays(rows)
    accounts = np.array(rows["account"], dtype=object)
    names, index = np.unique(accounts.astype(str), return_inverse=True)
    account_bad, account_seen, account_n = (_summed(values, index, len(names)) for values in (bad, seen, n[:, None]))
    account_prior = _rate(account_bad.sum(0) - account_bad, account_seen.sum(0) - account_seen, _base())
    reseller_of = dict(zip(rows["account"], rows["reseller"], strict=True))
    of_accounts = Counts(
        kind="account",
        entities=list(names),
        accounts=list(names),
        resellers=[reseller_of[name] for name in names],
        bad=account_bad,
        seen=account_seen,
        n=account_n[:, 0],
        prior=account_prior,
    )
    prior = _rate(account_bad[index] - bad, account_seen[index] - seen, account_prior[index])
    return Counts("sender", rows["sender"], rows["account"], rows["reseller"], bad, seen, n, prior), of_accounts


def addresses(warehouse: Warehouse, now: datetime) -> Counts:
    """Count every address that mail left from."""
    rows = _rows(warehouse, now, "source", "source <> ''", _SENT, _ON_IP)
    bad, seen, n = _arrays(rows)
    prior = _rate(bad.sum(0) - bad, seen.sum(0) - seen, _base())
    nobody = [""] * len(rows["source"])
    return Counts("ip", rows["source"], nobody, nobody, bad, seen, n, prior)


def _rows(
    warehouse: Warehouse, now: datetime, keys: str, which: str, events: str, renamed: dict[str, str]
) -> dict[str, Any]:
    decays = {track.half_life_seconds for track in TRACKS}
    sums = [
        f"sum(({renamed.get(column, column)}) * w{track.half_life_seconds}) AS {name}{number}"
        for number, track in enumerate(TRACKS)
        for name, column in (("bad", track.bad), ("seen", track.seen))
    ]
    weights = [f"pow(0.5, age / {seconds}) AS w{seconds}" for seconds in sorted(decays)]
    query = f"""
SELECT {keys}, {", ".join(sums)}, sum(({events}) * w{_WEEK}) AS n
FROM (
    SELECT *, {", ".join(weights)}
    FROM (
        SELECT *, epoch($now) - epoch(minute) AS age
        FROM rollup_minute
        WHERE minute BETWEEN to_timestamp(epoch($now) - {_REACH}) AND $now AND {which}
    )
)
GROUP BY ALL
ORDER BY ALL
"""  # noqa: S608 - our own column names
    answer: dict[str, Any] = warehouse.table(query, now=now).to_pydict()
    return answer


def _arrays(rows: dict[str, Any]) -> tuple[Floats, Floats, Floats]:
    bad = np.array([rows[f"bad{number}"] for number in range(len(TRACKS))], dtype=np.float64).T
    seen = np.array([rows[f"seen{number}"] for number in range(len(TRACKS))], dtype=np.float64).T
    return np.minimum(bad, seen), seen, np.array(rows["n"], dtype=np.float64)


def _summed(values: Floats, index: npt.NDArray[np.intp], size: int) -> Floats:
    total = np.zeros((size, values.shape[1]))
    np.add.at(total, index, values)
    return total


def _base() -> Floats:
    return np.array([PRIOR_RATES[track.signal] for track in TRACKS])


def _rate(bad: Floats, seen: Floats, prior: Floats) -> Floats:
    """The rate of the others, drawn towards the next parent's by the prior's weight."""
    weight = np.array([PRIOR_WEIGHTS[track.signal] for track in TRACKS])
    return np.asarray((np.maximum(bad, 0) + weight * prior) / (np.maximum(seen, 0) + weight))
