"""Handing the notary's work over from one key to the next.

One rule: the handover is a checkpoint that both keys sign and that names both. From then on the old key signs nothing,
and its private half is gone: for whoever trusts the new key, a kept copy forges nothing. It goes on from the last
checkpoint, that of the stream and that of the file, or not at all.
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
        await asyncio.to_thread(_goes_on, Folder(data), size, root)
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


def _goes_on(folder: Folder, size: int, root: bytes) -> None:
    """That the checkpoint in the file, which the handover takes the place of, says nothing else."""
    note = folder.latest()
    if note is None:
        return
    try:
        latest, _ = read_checkpoint(note)
    except BadNote as error:
        raise CannotRotate(f"the checkpoint in {folder.path / 'latest'} was changed: {error}") from error
    if latest.size > size or (latest.size == size and latest.root != root):
        raise CannotRotate(
            f"the checkpoint in {folder.path / 'latest'} is of {latest.size} records, and the last one of the stream "
            f"CHECKPOINTS of {size}{' others' if latest.size == size else ''}: see with `cutover verify` what was done "
            "to the log before a new key vouches for it"
        )
