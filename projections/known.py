"""All that the projections know of one rollout, folded together from its stored records.

One rule: a record is taken only if it decodes and follows the one before it; else nothing of it is taken.
"""

from __future__ import annotations

import msgspec
from msgspec import Struct

from events.codec import decode, digest
from events.facts import PlanAdopted, PlanRevised, Record
from projections import audit, flags, kpis, rollouts
from projections.chain import check_chain
from projections.sentences import texts


class Known(Struct, frozen=True):
    """Where the chain stands, and what each projection knows at `revision`. It is stored, so that a restart goes on."""

    hash: str
    ordinal: int
    revision: int
    snapshot: flags.FlagSnapshot
    row: rollouts.RolloutRow
    kpis: kpis.Kpis
    texts: dict[str, str]  # what the plan's items say, by id
    environment: str = ""  # the plan's
    bore: int = 0  # the last revision that could change who has the toggles on


class Taken(Struct, frozen=True):
    """One record taken: what is known now, the record, and its lines in the trail."""

    known: Known
    record: Record
    lines: audit.Lines


def take(known: Known | None, rollout: str, revision: int, data: bytes) -> Taken:
    """What is known after the record stored as `data`. Raises codec.Unreadable or chain.BrokenChain."""
    record = decode(data)
    own = digest(data)
    check_chain(*((known.hash, known.ordinal) if known else ("", 0)), record, rollout)
    after = added(known, record, revision, own)
    return Taken(after, record, audit.lines(revision, own, record, after.texts, _standing(known), _standing(after)))


def added(known: Known | None, record: Record, revision: int, own: str) -> Known:
    """What is known after a record that was checked before; `own`: the hash of its stored bytes."""
    if known is None:
        names, environment = _planned({}, "", record)
        results = kpis.fold(kpis.Kpis(), record, revision, names)
        snapshot, row = flags.fold(None, record, revision), rollouts.fold(None, record, revision)
    else:
        names, environment = _planned(known.texts, known.environment, record)
        results = kpis.fold(known.kpis, record, revision, names)
        snapshot, row = flags.fold(known.snapshot, record, revision), rollouts.fold(known.row, record, revision)
    bore = revision if flags.bears(record) else known.bore if known else 0
    return Known(own, record.ordinal, revision, snapshot, row, results, names, environment, bore)


def _standing(known: Known | None) -> audit.Standing:
    return audit.Standing(known.row.phase, known.environment, known.row.toggles) if known else audit.Standing()


def _planned(names: dict[str, str], environment: str, record: Record) -> tuple[dict[str, str], str]:
    """Texts and environment after this record. Texts that a revised plan has no more are kept: old facts name them."""
    for fact in record.facts:
        if isinstance(fact, (PlanAdopted, PlanRevised)):
            names, environment = {**names, **texts(fact.plan)}, fact.plan.environment
    return names, environment


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Known)


def encode(known: Known) -> bytes:
    """What is known, as it is stored: the same for the same records."""
    return _encoder.encode(known)


def decode_known(data: bytes) -> Known:
    """What was stored by `encode`."""
    return _decoder.decode(data)
