"""Work in a thread that a cancelled task waits for."""

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


async def to_its_end(work: Callable[..., T], *args: Any) -> T:
    """Do `work` in a thread and return what it returns. Raises what it raises.

    A thread goes on when its task is cancelled. Here the task ends only after it: what a stop writes next cannot be
    overtaken by something older.
    """
    task = asyncio.create_task(asyncio.to_thread(work, *args))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.gather(task, return_exceptions=True)
        raise
