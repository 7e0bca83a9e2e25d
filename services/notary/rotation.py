"""Handing the notary's work over from one key to the next.

One rule: the handover is a checkpoint that both keys sign and that names both. From then on the old key signs nothing,
and its private half is gone: whoever kept a copy can forge no more than what the handover already covers.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from services.log.protocol import Conflict
from services.notary import keys
from services.notary.checkpoint import Checkpoint, Handover, read_checkpoint
from services.notary.kept import CheckpointStream, Folder
from services.notary.note import BadNote
from services.notary.tree import EMPTY

TRIES = 20


class CannotRotate(Exception):
    """The key cannot be handed over now. The text says why."""


async def rotate(kept: CheckpointStream, data: Path) -> Checkpoint:
    """Make the next key and hand over to it, beside a running notary; the checkpoint that says so."""
    for _ in range(TRIES):
        old, new = await asyncio.to_thread(keys.signer, data), await asyncio.to_thread(keys.next_signer, data)
        last = await kept.last()
        size, root = 0, EMPTY
        if last is not None:
            try:
                checkpoint, parts = read_checkpoint(last.note)
                ours = parts.signed_by(old.verifier)
            except BadNote as error:
                raise CannotRotate(f"the last checkpoint was changed: {error}") from error
            if not ours:
                raise CannotRotate(f"the last checkpoint is not signed by {old.verifier.name}'s key in {data}")
            size, root = checkpoint.size, checkpoint.root
        handover = Checkpoint(old.name, size, root, Handover(old.verifier, new.verifier))
        note = handover.signed([old, new])
        try:
            await kept.append(note, after=last.sequence if last else 0)
        except Conflict:
            await asyncio.sleep(0.05)
            continue
        await asyncio.to_thread(Folder(data).keep, note)
        if not await asyncio.to_thread(keys.take_over, data, new.verifier):
            raise CannotRotate(f"the next key was taken from {data} meanwhile")
        return handover
    raise CannotRotate("the notary signed again and again in between: try again")
