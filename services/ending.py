"""A loop that ends when it is told to.

One rule: a loop that awaits nats-py asks `end_if_cancelled` in each turn. Python 3.11's asyncio.wait_for, which nats-py
uses for every request, drops a cancellation that arrives together with the answer, and the loop would run for ever.
"""

from __future__ import annotations

import asyncio


def end_if_cancelled() -> None:
    """Raise CancelledError if this task was cancelled, however long ago and whoever swallowed it."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
