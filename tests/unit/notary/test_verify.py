"""The offline verifier: what is untouched verifies, what was tampered with never does, and what it was is named."""

from __future__ import annotations

import ast
import subprocess
import sys
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.notary import cutover_verify
from services.notary.checkpoint import Checkpoint, Handover
from services.notary.cutover_verify import Result, read_key, scan, verify
from services.notary.note import Signer
from services.notary.tree import leaf as leaf_of
from services.notary.tree import root_of
from tests.histories import Stored, records
from tests.notarized import FIRST, ORIGIN, SECOND, STRANGER, Signed, assembled, renumbered

HISTORY = list(islice(records(300, rollouts=4, seed=7), 300))


def signed(count: int = 60, every: int = 7, handover: int | None = None) -> Signed:
    sizes = [*range(every, count, every), count]
    return Signed(HISTORY[:count], sizes, handover)


def checked(
    file: bytes, key: Signer = FIRST, at_least: int = 0, elsewhere: tuple[str, ...] = (), cut: int = 0
) -> Result:
    pieces = [scan(file)]
    if cut:  # as if read in pieces of so many lines
        lines = file.splitlines(keepends=True)
        pieces = [scan(b"".join(lines[at : at + cut])) for at in range(0, len(lines), cut)]
    return verify(pieces, [read_key(str(key.verifier))], at_least=at_least, elsewhere=elsewhere)


def named(result: Result) -> list[tuple[str, int, int]]:
    return [finding[:3] for finding in result.findings]


def flipped(data: bytes, place: int, bits: int = 1) -> bytes:
    return data[:place] + bytes([data[place] ^ bits]) + data[place + 1 :]


def exchange(lines: list[Any], one: int, other: int) -> None:
    lines[one], lines[other] = lines[other], lines[one]


def changed(one: Stored, old: bytes = b'"command":"', new: bytes = b'"command":"x') -> Stored:
    """Another record in the place of this one, as JSON a good one."""
    assert old in one.data
    return one._replace(data=one.data.replace(old, new, 1))


def test_what_is_untouched_verifies() -> None:
    result = checked(signed().file())
    assert result == Result(60, 9, 60, [])


@given(st.data())
def test_any_untouched_export_verifies_however_it_is_read(data: st.DataObject) -> None:
    count = data.draw(st.integers(0, 40))
    sizes = sorted(data.draw(st.sets(st.integers(0, count))) | {count})
    handover = data.draw(st.none() | st.integers(0, count))
    log = Signed(HISTORY[:count], sizes, handover)
    result = checked(log.file(), log.key, cut=data.draw(st.integers(0, 9)))
    assert result == Result(count, len(log.notes), count, [])


# -- the five of the release, and their harder versions


@pytest.mark.parametrize("revision", [1, 20, 21, 59, 60])
def test_a_flipped_byte_is_named_by_its_revision(revision: int) -> None:
    log = signed()
    text = log.records[revision - 1]
    log.records[revision - 1] = flipped(text, text.index(b'"when":"') + 10)
    assert named(checked(log.file())) == [("changed", revision, revision)]


def test_a_changed_record_is_named_even_where_the_hash_beside_it_was_made_anew() -> None:
    log = signed()
    revision = next(n for n in range(10, 40) if followed(n))
    stored = list(log.stored)
    stored[revision - 1] = changed(stored[revision - 1])
    assert named(checked(assembled(renumbered(stored), log.notes))) == [("changed", revision, revision)]


def followed(revision: int) -> bool:
    """Whether the rollout of this record has a later one among the first 60."""
    return any(each.rollout == HISTORY[revision - 1].rollout for each in HISTORY[revision:60])


@pytest.mark.parametrize("renumber", [False, True])
def test_a_dropped_record_is_named(renumber: bool) -> None:
    log = signed()
    revision = next(n for n in range(23, 40) if followed(n))
    stored = [each for n, each in enumerate(log.stored, 1) if n != revision]
    lines = renumbered(stored) if renumber else [each for n, each in enumerate(log.records, 1) if n != revision]
    findings = named(checked(assembled(lines, log.notes)))
    assert ("dropped", revision, revision) in findings
    assert {kind for kind, _, _ in findings} <= {"dropped", "cut"}


@pytest.mark.parametrize("renumber", [False, True])
def test_two_that_were_exchanged_are_named(renumber: bool) -> None:
    log = signed()
    exchange(log.stored, 22, 24)
    exchange(log.records, 22, 24)
    lines = renumbered(log.stored) if renumber else log.records
    assert named(checked(assembled(lines, log.notes))) == [("reordered", 23, 25)]


def test_an_inserted_record_is_named() -> None:
    log = signed()
    stored = [*log.stored[:30], changed(log.stored[10]), *log.stored[30:]]
    findings = named(checked(assembled(renumbered(stored), log.notes)))
    assert ("inserted", 31, 31) in findings


def test_a_cut_tail_is_named_by_the_checkpoints_that_were_signed() -> None:
    log = signed()
    result = checked(assembled(log.records[:50], log.notes))
    assert ("cut", 50, 56) in named(result)
    assert any("the records end at revision 50, but a checkpoint of 56" in finding.words for finding in result.findings)
    assert ("cut", 50, 60) in named(checked(assembled(log.records[:49], [*log.notes[:7], log.notes[-1]])))


def test_a_file_that_ends_in_the_middle_is_noticed() -> None:
    file = signed().file()
    for place in range(0, len(file) - 1, 997):
        if place:
            result = checked(file[:place])
            assert result.findings, place


def test_a_tail_that_was_cut_with_its_checkpoints_is_seen_only_from_elsewhere() -> None:
    log = signed()
    short = assembled(log.records[:49], [note for note in log.notes if note[0] <= 49])
    assert checked(short).findings == []
    assert ("cut", 50, 60) in named(checked(short, at_least=60))
    assert ("cut", 50, 60) in named(checked(short, elsewhere=(log.notes[-1][1],)))


def test_a_rechained_suffix_is_narrowed_to_the_checkpoints_around_its_first_record() -> None:
    log = signed()
    stored = forged_from(log.stored, 30)
    findings = checked(assembled(renumbered(stored), log.notes)).findings
    assert [finding[:3] for finding in findings] == [("changed", 29, 35)]
    assert "from revision 29 to 35" in findings[0].words
    assert "What stands after revision 35" in findings[0].words


def forged_from(stored: list[Stored], revision: int) -> list[Stored]:
    """This record changed, and all later ones of its rollout chained to it anew."""
    import hashlib
    import re

    found = list(stored)
    found[revision - 1] = changed(found[revision - 1])
    before = found[revision - 1]
    for index in range(revision, len(found)):
        if found[index].rollout == before.rollout:
            digest = hashlib.sha256(before.data).hexdigest().encode()
            data = re.sub(rb'"previous":"[0-9a-f]{64}"', b'"previous":"' + digest + b'"', found[index].data, count=1)
            before = found[index] = found[index]._replace(data=data)
    return found


def test_several_that_were_changed_are_all_named() -> None:
    log = signed()
    for revision in (3, 18, 44):
        text = log.records[revision - 1]
        log.records[revision - 1] = flipped(text, text.index(b'"when":"') + 10)
    assert named(checked(log.file())) == [("changed", n, n) for n in (3, 18, 44)]


# -- keys


def test_the_new_key_vouches_for_what_the_old_one_signed() -> None:
    log = signed(handover=30)
    assert checked(log.file(), SECOND).findings == []
    assert checked(log.file(), FIRST).findings == []


def root(stored: list[Stored]) -> bytes:
    return root_of(leaf_of(each.rollout, each.data) for each in stored)


@pytest.mark.parametrize("key", [FIRST, SECOND])
def test_one_that_was_forged_with_the_old_key_is_named(key: Signer) -> None:
    log = signed(handover=30)
    stored = [*log.stored, changed(log.stored[-1])]
    forged = Checkpoint(ORIGIN, 61, root(stored)).signed([FIRST])
    [first, *others] = checked(assembled(renumbered(stored), [*log.notes, (61, forged)]), key).findings
    assert first[:3] == ("forged", 31, 61)
    assert "signed with the old key" in first.words
    assert ("unsigned", 61, 61) in [finding[:3] for finding in others]


def test_history_that_the_old_key_signs_anew_contradicts_the_handover() -> None:
    log = signed(handover=30)
    stored = forged_from(log.stored[:30], 10) + log.stored[30:]
    notes = [(size, Checkpoint(ORIGIN, size, root(stored[:size])).signed([FIRST])) for size in (7, 14, 21, 28)]
    notes += [note for note in log.notes if note[0] >= 30]
    result = checked(assembled(renumbered(stored), notes), SECOND)
    assert result.findings
    assert ("changed", 29, 30) in named(result)


def test_a_second_handover_by_the_old_key_is_forged() -> None:
    log = signed(handover=30)
    evil = Checkpoint(ORIGIN, 30, root(log.stored[:30]), Handover(FIRST.verifier, STRANGER.verifier))
    notes = [*log.notes, (60, evil.signed([FIRST, STRANGER]))]
    for key in (FIRST, SECOND):
        assert "forged" in {finding.kind for finding in checked(assembled(log.records, notes), key).findings}


def test_a_key_that_nobody_trusts_signs_nothing() -> None:
    log = signed()
    notes = [(size, Checkpoint(ORIGIN, size, root(log.stored[:size])).signed([STRANGER])) for size, _ in log.notes]
    kinds = [finding.kind for finding in checked(assembled(log.records, notes)).findings]
    assert set(kinds) == {"forged", "unsigned"}


def test_a_checkpoint_that_was_edited_is_named() -> None:
    log = signed()
    size, note = log.notes[3]
    log.notes[3] = (size, note.replace(f"\n{size}\n", f"\n{size + 1}\n"))
    findings = checked(log.file()).findings
    assert [(f.kind, f.first) for f in findings] == [("checkpoint", size + 1)]
    assert "checkpoint 4" in findings[0].words


# -- anything at all


@given(st.data())
def test_no_tampering_is_ever_called_ok(data: st.DataObject) -> None:
    count = data.draw(st.integers(2, 40))
    sizes = sorted(data.draw(st.sets(st.integers(1, count))) | {count})
    log = Signed(HISTORY[:count], sizes, data.draw(st.none() | st.integers(0, count - 1)))
    revision = data.draw(st.integers(1, count))
    other = data.draw(st.integers(1, count).filter(lambda n: n != revision))
    lines, stored, notes = list(log.records), list(log.stored), list(log.notes)
    exact: set[int] = set()  # the revisions of which one must be within what is named
    what = data.draw(st.sampled_from(TAMPERINGS))
    careful = data.draw(st.booleans())  # numbers and hashes are made anew
    if what == "flip":
        text = lines[revision - 1]
        place = data.draw(st.integers(0, len(text) - 2))
        lines[revision - 1] = flipped(text, place, data.draw(st.integers(1, 255)))
        exact = {revision}
    elif what == "change":
        stored[revision - 1] = changed(stored[revision - 1])
        lines = renumbered(stored)
        exact = {revision}
    elif what == "drop":
        del stored[revision - 1], lines[revision - 1]
        lines = renumbered(stored) if careful else lines
        exact = {revision}
    elif what == "duplicate":
        stored.insert(revision, stored[revision - 1])
        lines.insert(revision, lines[revision - 1])
        lines = renumbered(stored) if careful else lines
        exact = {revision, revision + 1}
    elif what == "swap":
        exchange(stored, revision - 1, other - 1)
        exchange(lines, revision - 1, other - 1)
        lines = renumbered(stored) if careful else lines
        exact = {revision, other}
    elif what == "cut":
        del lines[revision - 1 :]
        exact = {revision}
    elif what == "insert":
        stored.insert(revision - 1, changed(stored[other - 1]))
        lines = renumbered(stored)
        exact = {revision}
    elif what == "forge":
        stored = forged_from(stored, revision)
        lines = renumbered(stored)
        exact = {revision}
    elif what == "sign":
        key = data.draw(st.sampled_from([STRANGER, FIRST] if log.key == SECOND else [STRANGER]))
        stored.append(changed(stored[-1]))
        lines = renumbered(stored)
        notes.append((count + 1, Checkpoint(ORIGIN, count + 1, root(stored)).signed([key])))
    elif what == "checkpoint":
        index = data.draw(st.integers(0, len(notes) - 1))
        size, note = notes[index]
        place = data.draw(st.integers(0, len(note) - 1).filter(lambda n: note[n].isascii()))
        notes[index] = (size, note[:place] + chr(ord(note[place]) ^ 1) + note[place + 1 :])
    result = checked(assembled(lines, notes), log.key, cut=data.draw(st.sampled_from([0, 5])))
    assert result.findings, what
    if exact:
        spans = [(f.first, f.last) for f in result.findings if f.first]
        assert any(first <= each <= max(first, last) for first, last in spans for each in exact), (what, result)
        assert result.size < max(exact) or any(each == f.first for f in result.findings for each in exact)


TAMPERINGS = ("flip", "change", "drop", "duplicate", "swap", "cut", "insert", "forge", "sign", "checkpoint")


# -- the file itself


def test_it_needs_nothing_but_the_standard_library_and_cryptography() -> None:
    tree = ast.parse(Path(cutover_verify.__file__).read_text(encoding="utf-8"))
    roots = {
        alias.name.split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names
    }
    roots |= {(node.module or "").split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert roots - set(sys.stdlib_module_names) == {"cryptography"}


def test_one_file_copied_to_another_place_is_enough(tmp_path: Path) -> None:
    program = tmp_path / "cutover_verify.py"
    program.write_bytes(Path(cutover_verify.__file__).read_bytes())
    log = signed()
    (tmp_path / "log.jsonl").write_bytes(log.file())
    (tmp_path / "notary.pub").write_text(f"{FIRST.verifier}\n")

    def run(*words: str) -> tuple[int, str, str]:
        command = [sys.executable, "-I", str(program), *words]
        ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        return ended.returncode, ended.stdout, ended.stderr

    code, out, _ = run("log.jsonl", "--key", "notary.pub")
    assert (code, out) == (0, "OK: 60 records are as they were signed, by 9 signed checkpoints.\n")
    log.records[12] = flipped(log.records[12], len(log.records[12]) - 9)
    (tmp_path / "log.jsonl").write_bytes(log.file())
    code, out, _ = run("log.jsonl", "--key", str(FIRST.verifier))
    assert code == 1
    assert "revision 13 was changed" in out
    assert out.endswith("Proven to be as signed: revisions 1 to 60, but for what is named above.\n")
    code, _, err = run("log.jsonl", "--key", "nonsense")
    assert code == 2
    assert "not a public key" in err
    assert "there is no such file" in err
    code, _, err = run("nothing.jsonl", "--key", "notary.pub")
    assert (code, err) == (2, "It could not be checked: nothing.jsonl: No such file or directory\n")
    (tmp_path / "other").write_text("hello\n")
    code, _, err = run("other", "--key", "notary.pub")
    assert code == 2
    assert "other: not an export of a log: expected a first line" in err
    assert "found b'hello'" in err


def test_a_record_that_says_its_place_twice_is_no_record() -> None:
    log = signed(5, 1)
    one = log.stored[4]
    twice = one._replace(data=one.data[:-1] + b',"previous":""}')
    sizes = list(range(1, 6))
    log = Signed([*log.stored[:4], twice], sizes)
    assert [f.kind for f in checked(log.file()).findings] == ["chain"]


def test_bytes_that_are_no_json_are_exported_and_verified_too() -> None:
    odd = [b"\xff\xfe", b'{"a":1}\n', b"", b"[1]", b'{"a":', b'{"a": "\\u0000"}']
    log = Signed([Stored("odd", data, str(n)) for n, data in enumerate(odd)], [3, 6])
    result = checked(log.file())
    assert result.size == 6
    assert {finding.kind for finding in result.findings} == {"chain"}
