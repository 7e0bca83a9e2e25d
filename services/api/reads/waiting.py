"""Where a flag read waits, and how to have its answer if it does not.

One rule: `before_waiting` is awaited before anything else is, and before anything is begun that somebody would have to
finish. Most reads never come to it: such a read is run to its end by one call.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

Answer = TypeVar("Answer")


async def before_waiting() -> None:
    """Let go of whoever cannot wait; the others go on in the loop's next turn."""
    await asyncio.sleep(0)


def without_waiting(read: Coroutine[Any, Any, Answer]) -> Answer | None:
    """What it returns; None if it would have waited, and then nothing has happened. It may raise what it raises."""
    try:
        read.send(None)
    except StopIteration as ended:
        answer: Answer = ended.value
        return answer
    read.close()
    return None
