"""Readings: one measurement each, as CI or a job published it, or as we took it ourselves.

One rule: a reading says what was measured and when it was so; whether that is good is for whoever judges it.
(`source`, `id`) names a published reading: the same pair again is the same reading.
"""

from __future__ import annotations

from msgspec import Struct

from events.facts import Band, UtcTime, Verdict

READING_TYPE = "dev.cdeventsx.cutover-reading.published.0.1.0"
"""The CloudEvents type of a reading. Match by READING_PREFIX: the version may rise."""

READING_PREFIX = "dev.cdeventsx.cutover-reading.published."
READING_SUBJECT = "rollouts.readings."


class Published(Struct, frozen=True, omit_defaults=True):
    """A CloudEvent's data: a number (or words, "4.2 s") under the name that the plan gives as `reading:`.

    `at`: when it was so; by default the event's time. `parts`: by label, such as errors by type.
    """

    name: str
    value: float | str | None = None
    rollout: str = ""
    at: UtcTime | None = None
    parts: dict[str, float] = {}


class Reading(Struct, frozen=True, omit_defaults=True):
    """One reading as it is kept. `value` is in base units (seconds, percent); None: none was to be had (`why`)."""

    rollout: str
    name: str
    at: UtcTime
    value: float | None = None
    unit: str = ""
    parts: dict[str, float] = {}
    source: str = ""
    id: str = ""
    taken: UtcTime | None = None  # when it reached us
    # what follows: measured by us for a step, and judged
    step: str = ""
    since: UtcTime | None = None
    query: str = ""
    verdict: Verdict | None = None
    band: Band = ""
    why: str = ""
    sha256: str = ""
