"""The event loop that the service runs on: uvloop.

One rule: whatever serves for long is run by `run`, so that what is measured beside it can be run alike. It was taken
for flag reads at many connections, whose headers and body it hands to the kernel together.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Coroutine
from typing import Any, TypeVar

import uvloop

Result = TypeVar("Result")


def run(work: Coroutine[Any, Any, Result]) -> Result:
    """Run to the end, as asyncio.run does."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


def settle() -> None:
    """Tell the collector of garbage that what is in memory now stays, so that it never looks at it again.

    A look at all modules, types and routes would hold up every answer for a tenth of a second, now and then.
    """
    gc.collect()
    gc.freeze()
