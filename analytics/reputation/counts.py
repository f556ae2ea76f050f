"""What counts for and against each entity: decayed sums over the rollup, and the rates of their parents.

Half-lives and priors are those of spec 2.7: spam 1 h, 6 h and 7 d (the worst one decides), hard bounce 24 h,
complaint 7 d, block by a destination 24 h.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from analytics.ingesting.counting import LEFT, MESSAGES
from analytics.warehouse import Warehouse

Floats = npt.NDArray[np.float64]

_HOUR, _DAY, _WEEK = 3600, 86_400, 604_800

# Beyond six half-lives of the slowest signal less than 2 % of a count is left.
_REACH = 6 * _WEEK

_WORTH_SCORING = 0.5  # messages, decayed by a week: of less nothing can be said

# What a signal's rate is thought to be of somebody nobody knows, and how many events that thought is worth.
PRIOR_RATES = {"spam": 0.05, "hard_bounce": 0.05, "complaint": 0.001, "block": 0.05}

# The worst a parent can make us think of somebody who has done nothing yet: rates at which the prior alone costs no
# points, its 5 % bound lying below the good rate. Without it honest neighbours of abused senders were called bad.
_WORST_PRIORS = {"spam": 0.20, "hard_bounce": 0.10, "complaint": 0.005, "block": 0.10}
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
    messages behind it (recipients for an address), decayed by a week; `prior` the parents' rates; `latest`: the minute
    of each one's newest event, of end senders only."""

    kind: str
    entities: list[str]
    accounts: list[str]
    resellers: list[str]
    bad: Floats
    seen: Floats
    n: Floats
    prior: Floats
    latest: list[datetime] = field(default_factory=list)

    def only(self, rows: npt.NDArray[np.intp]) -> "Counts":
        """The entities of these rows, ascending."""
        entities, accounts, resellers = (
            [column[row] for row in rows] for column in (self.entities, self.accounts, self.resellers)
        )
        latest = [self.latest[row] for row in rows] if self.latest else []
        return replace(
            self,
            entities=entities,
            accounts=accounts,
            resellers=resellers,
            bad=self.bad[rows],
            seen=self.seen[rows],
            n=self.n[rows],
            prior=self.prior[rows],
            latest=latest,
        )


PARTS = ("from_domain", "url_domain", "pool", "ip_provider")
_MOST_PARTS = 5_000  # of a kind, those with most behind them: the draws of more would take longer than a run may


def senders_and_accounts(warehouse: Warehouse, now: datetime) -> tuple[Counts, Counts]:
    """Count every end sender and account of the last weeks; a sender's prior is its account's rate, an account's that
    of all, each without its own share."""
    source = _by_hour("rollup_hour", "sender, account, reseller", MESSAGES, "true"), "minute", "true"
    rows = _rows(warehouse, now, source, "sender, account, reseller", "accepted + held + rejected + throttled", {})
    bad, seen, n = _arrays(rows)
    nested = _Nested(bad, seen, rows["account"])
    reseller_of = dict(zip(rows["account"], rows["reseller"], strict=True))
    of_accounts = Counts(
        kind="account",
        entities=nested.names,
        accounts=nested.names,
        resellers=[reseller_of[name] for name in nested.names],
        bad=nested.bad,
        seen=nested.seen,
        n=_summed(n[:, None], nested.index, len(nested.names))[:, 0],
        prior=nested.prior,
    )
    names, accounts, resellers = rows["sender"], rows["account"], rows["reseller"]
    prior = nested.prior_of_parts()
    senders = Counts("sender", names, accounts, resellers, bad, seen, n, prior, rows["latest"])
    return senders, of_accounts


def addresses(warehouse: Warehouse, now: datetime) -> Counts:
    """Count every address that mail left from."""
    source = _by_hour("rollup_source", "source", LEFT, "source <> ''"), "minute", "true"
    rows = _rows(warehouse, now, source, "source", _SENT, _ON_IP)
    bad, seen, n = _arrays(rows)
    prior = _rate(bad.sum(0) - bad, seen.sum(0) - seen, _base())
    nobody = [""] * len(rows["source"])
    return Counts("ip", rows["source"], nobody, nobody, bad, seen, n, prior)


def parts(warehouse: Warehouse, kind: str, now: datetime) -> Counts:
    """Count the entities of one of PARTS. The parent of a From domain is its account, that of an address at a provider
    the address; the parent of both, of link domains and of pools is all."""
    source = "rollup_part", "bucket", f"entity_kind = '{kind}'"
    rows = _rows(warehouse, now, source, "entity, account, reseller", "messages", {})
    bad, seen, n = _arrays(rows)
    kept = np.sort(np.argsort(-n, kind="stable")[:_MOST_PARTS])
    kept = kept[n[kept] >= _WORTH_SCORING]
    parents = {
        "from_domain": rows["account"],
        "ip_provider": [entity.partition("|")[0] for entity in rows["entity"]],
    }.get(kind)
    if parents is None:
        prior = _rate(bad.sum(0) - bad, seen.sum(0) - seen, _base())
    else:
        prior = _Nested(bad, seen, parents).prior_of_parts()
    entities, accounts, resellers = (
        [str(rows[column][place]) for place in kept] for column in ("entity", "account", "reseller")
    )
    return Counts(kind, entities, accounts, resellers, bad[kept], seen[kept], n[kept], prior[kept])


def _by_hour(hours: str, keys: str, names: tuple[str, ...], which: str) -> str:
    """The last two days by the minute, what lies before by the hour: its middle is as good as its minutes then, as
    nothing is left of the signal that fades within an hour."""
    then = "to_timestamp(floor(epoch($now) / 3600) * 3600 - 172800)"
    columns = f"{keys}, {', '.join(names)}"
    return f"""(
            SELECT minute, {columns}
            FROM rollup_minute
            WHERE minute >= {then} AND {which}
            UNION ALL
            SELECT hour + INTERVAL 30 MINUTE AS minute, {columns}
            FROM {hours}
            WHERE hour < {then}
        )"""  # noqa: S608 - our own names


class _Nested:
    """The sums of parents over their parts, and the rates that part and parent are thought to have beforehand."""

    def __init__(self, bad: Floats, seen: Floats, parents: list[str]) -> None:
        names, self.index = np.unique(np.array(parents, dtype=object).astype(str), return_inverse=True)
        self.names = list(names)
        self._part_bad, self._part_seen = bad, seen
        self.bad, self.seen = (_summed(values, self.index, len(names)) for values in (bad, seen))
        self.prior = _rate(self.bad.sum(0) - self.bad, self.seen.sum(0) - self.seen, _base())

    def prior_of_parts(self) -> Floats:
        """Of each part: the rate of its parent's other parts, drawn towards that of the other parents."""
        bad, seen = self.bad[self.index] - self._part_bad, self.seen[self.index] - self._part_seen
        return _rate(bad, seen, self.prior[self.index])


def _rows(
    warehouse: Warehouse, now: datetime, source: tuple[str, str, str], keys: str, events: str, renamed: dict[str, str]
) -> dict[str, Any]:
    """Decayed sums. `source`: table or subquery, its instant, which rows."""
    table, instant, which = source
    decays = {track.half_life_seconds for track in TRACKS}
    sums = [
        f"sum(({renamed.get(column, column)}) * w{track.half_life_seconds}) AS {name}{number}"
        for number, track in enumerate(TRACKS)
        for name, column in (("bad", track.bad), ("seen", track.seen))
    ]
    weights = [f"pow(0.5, age / {seconds}) AS w{seconds}" for seconds in sorted(decays)]
    query = f"""
SELECT {keys}, {", ".join(sums)}, sum(({events}) * w{_WEEK}) AS n, max({instant}) AS latest
FROM (
    SELECT *, {", ".join(weights)}
    FROM (
        SELECT *, greatest(0, epoch($now) - epoch({instant})) AS age
        FROM {table}
        WHERE {instant} BETWEEN to_timestamp(epoch($now) - {_REACH}) AND $now AND {which}
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
    """The rate of the others, drawn towards the next parent's by the prior's weight; at most _WORST_PRIORS."""
    weight = np.array([PRIOR_WEIGHTS[track.signal] for track in TRACKS])
    worst = np.array([_WORST_PRIORS[track.signal] for track in TRACKS])
    return np.asarray(np.minimum((np.maximum(bad, 0) + weight * prior) / (np.maximum(seen, 0) + weight), worst))
