"""The chain of a rollout's records: each names its ordinal and the hash of the one before it.

One rule: the hash is of the stored bytes. A record that does not fit is never skipped: it stops its rollout.
"""

from __future__ import annotations

from events.facts import Record


class BrokenChain(Exception):
    """A record that does not follow the one before it. The text names what was expected and what was found."""


def check_chain(previous: str, ordinal: int, record: Record, rollout: str) -> None:
    """That `record` follows the record of `rollout` with this ordinal (0: none) and this hash (""): or BrokenChain."""
    if record.rollout != rollout:
        raise BrokenChain(f"a record of rollout {record.rollout!r} stands on the subject of {rollout!r}")
    if record.ordinal != ordinal + 1:
        raise BrokenChain(f"record {ordinal + 1} of {rollout!r} expected, found number {record.ordinal}")
    if record.previous != previous:
        raise BrokenChain(
            f"record {record.ordinal} of {rollout!r} names {record.previous or 'nothing'!r} as the hash of the record "
            f"before it, which has {previous or 'none'!r}"
        )
