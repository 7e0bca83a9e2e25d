"""The notary's key: `notary.key` (its owner's alone) and `notary.pub` (everybody's) in the data folder.

One rule: there is one private key at a time. A rotation writes the next one beside it, has the handover signed by both,
and only then puts it in the place of the old one; whatever was cut off in between is finished from the handover.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from services.notary.note import Signer, Verifier, new_signer, read_signer
from services.secret_file import made_once

KEY, NEXT, PUBLIC = "notary.key", "notary.key.next", "notary.pub"


def signer(data: Path) -> Signer:
    """The key of this data folder, made if there is none. Its name is the log's origin, and stays so."""
    text = made_once(data / KEY, lambda: f"{new_signer(f'cutover-{secrets.token_hex(8)}')}\n".encode())
    found = read_signer(text.decode())
    public = f"{found.verifier}\n"
    if not (data / PUBLIC).exists() or (data / PUBLIC).read_text() != public:
        write_whole(data / PUBLIC, public.encode())
    return found


def next_signer(data: Path) -> Signer:
    """The key that takes over next, by the same name; made if there is none yet."""
    name = signer(data).name
    return read_signer(made_once(data / NEXT, lambda: f"{new_signer(name)}\n".encode()).decode())


def take_over(data: Path, new: Verifier) -> bool:
    """Put the next key in the old one's place if it is `new`; the old one is gone then. False: it is not here."""
    try:
        if read_signer((data / NEXT).read_text()).verifier != new:
            return False
        (data / NEXT).replace(data / KEY)
    except FileNotFoundError:
        pass  # another process was quicker
    return signer(data).verifier == new


def write_whole(path: Path, content: bytes) -> None:
    """Replace a file by a whole new one that has reached the disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with draft.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
