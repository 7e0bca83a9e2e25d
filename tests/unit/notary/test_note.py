"""Signed notes and checkpoints are C2SP's, down to the bytes."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.notary.checkpoint import Checkpoint, Handover, read_checkpoint
from services.notary.note import BadNote, Signer, new_signer, read_note, read_signer, read_verifier, sign

# The published example of Go's golang.org/x/mod/sumdb/note.
VKEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
SKEY = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
LINE = "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"

ALICE = Signer("example.com/alice", b"\x11" * 32)
BOB = Signer("example.com/bob", b"\x22" * 32)


def test_the_example_of_the_go_implementation_comes_out_byte_for_byte() -> None:
    signer = read_signer(SKEY)
    assert sign(TEXT, [signer]) == f"{TEXT}\n{LINE}"
    assert (str(signer), str(signer.verifier)) == (SKEY, VKEY)
    assert read_note(f"{TEXT}\n{LINE}").signed_by(read_verifier(VKEY))


def test_the_example_of_the_specification_of_checkpoints_is_understood() -> None:
    note = (
        "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n"
        "— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9"
        "nTo+zyWE+xeMcTOAYQ8=\n"
    )
    checkpoint, parts = read_checkpoint(note)
    assert (checkpoint.origin, checkpoint.size) == ("example.com/behind-the-sofa", 20852163)
    assert checkpoint.root == base64.b64decode("CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=")
    assert [(name, key.hex()) for name, key, _ in parts.signatures] == [("example.com/behind-the-sofa", "033de0ae")]
    assert checkpoint.text() == parts.text


def test_a_note_bears_each_signature_and_no_other() -> None:
    note = read_note(sign("one line\n", [ALICE, BOB]))
    assert note.signed_by(ALICE.verifier)
    assert note.signed_by(BOB.verifier)
    assert not note.signed_by(new_signer("example.com/alice").verifier)


def test_what_claims_a_trusted_key_and_was_not_signed_by_it_is_refused() -> None:
    note = read_note(sign("size 1\n", [ALICE]).replace("size 1", "size 2"))
    with pytest.raises(BadNote, match=r"example.com/alice\+\w{8} does not fit"):
        note.signed_by(ALICE.verifier)


@given(st.data())
def test_no_byte_of_a_signed_note_can_be_changed(data: st.DataObject) -> None:
    note = sign(Checkpoint("cutover", 7, b"\7" * 32).text(), [ALICE]).encode()
    place = data.draw(st.integers(0, len(note) - 1))
    changed = note[:place] + bytes([note[place] ^ data.draw(st.integers(1, 255))]) + note[place + 1 :]
    try:
        read, parts = read_checkpoint(changed.decode())
        accepted = parts.signed_by(ALICE.verifier)
    except (BadNote, UnicodeDecodeError):
        return
    assert not accepted or (read.text(), parts.text) == (Checkpoint("cutover", 7, b"\7" * 32).text(),) * 2


@pytest.mark.parametrize("text", ["", "a", "a+b", "a+00000000+AAAA", VKEY.replace("c74f20a3", "c74f20a4"), VKEY + "A"])
def test_what_is_not_a_key_is_said(text: str) -> None:
    with pytest.raises(BadNote):
        read_verifier(text)


@pytest.mark.parametrize("size", ["-1", "01", "1.0", "", "x"])
def test_a_size_is_a_plain_number(size: str) -> None:
    text = Checkpoint("cutover", 1, b"\0" * 32).text().replace("\n1\n", f"\n{size}\n")
    with pytest.raises(BadNote):
        read_checkpoint(f"{text}\n{LINE}")


def test_a_handover_names_both_keys() -> None:
    handover = Handover(ALICE.verifier, BOB.verifier)
    checkpoint = Checkpoint("cutover", 3, b"\3" * 32, handover)
    read, parts = read_checkpoint(checkpoint.signed([ALICE, BOB]))
    assert read == checkpoint
    assert parts.signed_by(ALICE.verifier)
    assert parts.signed_by(BOB.verifier)
