"""How hard hypothesis tries: 200 examples a property; in the long run (`make test-long`) 1,000, and 10,000 sequences of
commands against the state machine's invariants.

One rule: tests set no numbers of their own, so that one variable makes all of them long. In CI the examples are
the same every time: a landing is not held up by luck, and new finds come from the runs that people start.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large]

settings.register_profile(
    "default", max_examples=200, deadline=None, derandomize=bool(os.environ.get("CI")), suppress_health_check=SLOW
)
settings.register_profile("long", max_examples=1_000, deadline=None, print_blob=True, suppress_health_check=SLOW)
settings.load_profile("long" if os.environ.get("CUTOVER_LONG") else "default")

SEQUENCES = 10_000 if os.environ.get("CUTOVER_LONG") else 200
"""Examples of the property that everything rests on: random commands never break an invariant."""

HISTORIES = 250 if os.environ.get("CUTOVER_LONG") else 25
"""Histories that the past is asked about, each with many questions: making one costs more than asking."""
