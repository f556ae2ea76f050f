"""One free SELECT of an administrator: it runs beside the page, so that it can be given up, and its answer stays."""

import threading
import uuid
from dataclasses import dataclass, field

import pandas as pd

from analytics.client import QueryClient, QueryError
from dashboard import data

_SECONDS = 30.0  # analytics gives up after 20


@dataclass
class Question:
    """A question on its way, and what became of it. One thread writes it, the page reads it."""

    sql: str
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    frame: pd.DataFrame | None = None
    trouble: str = ""

    @property
    def is_over(self) -> bool:
        return self.frame is not None or bool(self.trouble)


def asked(sql: str) -> Question:
    """Ask analytics, as the reader; returns at once."""
    question, client = Question(sql), data.new_analytics_client(timeout_seconds=_SECONDS)
    threading.Thread(target=_answer, args=(question, client), daemon=True).start()
    return question


def give_up(question: Question) -> None:
    """End it; nothing happens when it is over already."""
    with data.new_analytics_client(timeout_seconds=5) as client:
        try:
            client.stop(question.id)
        except QueryError as error:
            question.trouble = error.detail


def _answer(question: Question, client: QueryClient) -> None:
    with client:
        try:
            question.frame = client.sql(question.sql, id=question.id)
        except QueryError as error:
            question.trouble = error.detail
