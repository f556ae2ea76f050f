"""The job that retrains: when enough new labels have come, a niced process trains a candidate and the gate judges it.

The analytics process itself loads no scikit-learn. What passes is promoted where the operator wants that (analytics.
promote), else it waits for `mailweir model promote`; either way each run is journaled with its ruling.
"""

import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from analytics.warehouse import Warehouse
from relay.clock import Clock
from relay.content.active import active_model, promotion
from relay.content.model_files import find_model
from relay.control.client import ControlClient, ControlError
from relay.control.labels.views import ModelOrder
from relay.events import ModelRun
from relay.settings import Settings
from relay.spool.journal import Journal

_log = logging.getLogger("mailweir.learning")

_MOST_SECONDS = 3600.0
_REPORT = ".report.json"
_NEW = """
SELECT count(*) AS labels
FROM label_known
WHERE said_at > coalesce((SELECT max(logged_at) FROM model_run), '-infinity'::TIMESTAMPTZ)
"""
_LABELS = """
SELECT l.message_id, l.label = 'spam' AS is_bad, l.weight, l.origin,
       coalesce(m.account, r.account, '') AS account
FROM label_known l
LEFT JOIN message m ON m.message_id = l.message_id
LEFT JOIN rejection r ON r.message_id = l.message_id
"""


class Retraining:
    """One run at a time. `relay` makes a client of the control API; `texts` as relearn.Order has it."""

    def __init__(
        self,
        settings: Settings,
        warehouse: Warehouse,
        journal: Journal,
        clock: Clock,
        relay: Callable[[], ControlClient],
        texts: int = 0,
    ) -> None:
        self._settings, self._warehouse, self._journal = settings, warehouse, journal
        self._clock, self._relay, self._texts = clock, relay, texts

    def run(self) -> str:
        """Retrain if it is time; say what came of it, "" for nothing."""
        wanted = self._settings.analytics.retrain_labels
        new = self._warehouse.table(_NEW).to_pylist()[0]["labels"]
        if not wanted or new < wanted or self._settings.content.model == "none":
            return ""
        return self.train(self._clock.now())

    def train(self, now: datetime) -> str:
        """Train a candidate and have it judged. Raises subprocess.SubprocessError, OSError, ModelError."""
        name = f"learnt-{now:%Y%m%dT%H%M%S}"
        folder = self._settings.dir / "models"
        folder.mkdir(parents=True, exist_ok=True)
        active, report = find_model(active_model(self._settings)), folder / f"{name}{_REPORT}"
        order = {
            "name": name,
            "folder": str(folder / name),
            "words": str(self._settings.dir / "words"),
            "active": str(active),
            "report": str(report),
            "labels": self._labels(),
            "texts": self._texts,
        }
        found = _apart(folder / f"{name}.order.json", order, report)
        ruling = found["ruling"]
        self._journal.append(
            ModelRun(
                **self._journal.stamp(),
                model=name,
                active=active.name,
                learnt=found["learnt"],
                judged=found["judged"],
                passes=ruling["passes"],
                why=ruling["why"],
                slices=ruling["slices"],
            )
        )
        self._forget(folder)
        _log.info("retrained model=%s passes=%s why=%s", name, str(ruling["passes"]).lower(), ruling["why"])
        promoted = self._promote(name, ruling["why"]) if ruling["passes"] and self._settings.analytics.promote else ""
        return f"{name}: {'passes' if ruling['passes'] else 'refused'}, {ruling['why']}{promoted}"

    def _forget(self, folder: Path) -> None:
        """Delete the oldest candidates with their reports; never what scores or a rollback would go back to."""
        found = promotion(self._settings)
        needed = {Path(name).name for name in (found.model, *found.before)} if found else set()
        learnt = sorted(path.name.removesuffix(_REPORT) for path in folder.glob(f"learnt-*{_REPORT}"))  # by time
        for name in learnt[: -self._settings.analytics.keep_models]:
            if name not in needed:
                shutil.rmtree(folder / name, ignore_errors=True)  # one that was never trained has a report alone
                (folder / f"{name}{_REPORT}").unlink()

    def _labels(self) -> dict[str, dict[str, Any]]:
        rows = self._warehouse.table(_LABELS).to_pylist()
        return {row.pop("message_id"): row for row in rows}

    def _promote(self, name: str, why: str) -> str:
        try:
            with self._relay() as relay:
                relay.promote_model(ModelOrder(model=name, why=why))
        except ControlError as error:  # it waits in its folder; a person may promote it later
            _log.error("candidate passed but was not promoted model=%s error=%s", name, error)
            return f"; not promoted: {error}"
        return "; promoted"


def _apart(path: Path, order: dict[str, Any], report: Path) -> dict[str, Any]:
    """Have relearn.py do an order in a process of its own."""
    path.write_bytes(msgspec.json.encode(order))
    try:
        done = subprocess.run(  # noqa: S603 - our own interpreter and module
            [sys.executable, "-P", "-m", "analytics.learning.relearn", str(path)],
            env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            timeout=_MOST_SECONDS,
            check=False,
        )
    finally:
        path.unlink()
    if done.returncode:
        raise RuntimeError(
            f"training failed: {done.stderr.strip().splitlines()[-1][:500] if done.stderr else 'killed'}"
        )
    answer: dict[str, Any] = msgspec.json.decode(report.read_bytes())
    return answer
