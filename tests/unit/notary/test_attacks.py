"""The offline verifier against somebody who knows it: with an old key, other numbers, words for the terminal."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from array import array
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.notary import cutover_verify
from services.notary.checkpoint import Checkpoint, Handover
from services.notary.cutover_verify import Finding, Judge, Result, Unusable, Whole, read_key, report, scan, verify
from services.notary.note import Signer, new_signer
from services.notary.tree import EMPTY, leaf, root_of
from tests.histories import Stored
from tests.notarized import FIRST, ORIGIN, SECOND, STRANGER, Signed, assembled, line, renumbered
from tests.unit.notary.test_verify import changed, checked, exchange, forged_from, named, signed


def root(stored: list[Stored]) -> bytes:
    return root_of(leaf(each.rollout, each.data) for each in stored)


def handed_over(size: int, stored: list[Stored], old: Signer, new: Signer) -> tuple[int, str]:
    checkpoint = Checkpoint(ORIGIN, size, root(stored[:size]), Handover(old.verifier, new.verifier))
    return size, checkpoint.signed([old, new])


# -- who holds a key that was handed over


@pytest.mark.parametrize("key", [FIRST, SECOND])
@pytest.mark.parametrize("at", [31, 50])
def test_an_old_key_cannot_have_been_taken_over_after_it_handed_over(key: Signer, at: int) -> None:
    log = signed(handover=30)
    stored = forged_from(log.stored[:50], 31)
    genuine = [note for note in log.notes if "handover" in note[1]]
    forged = [handed_over(at, stored, STRANGER, FIRST), (50, Checkpoint(ORIGIN, 50, root(stored)).signed([STRANGER]))]
    result = checked(assembled(renumbered(stored), [*genuine, *forged]), key)
    assert "forged" in {finding.kind for finding in result.findings}
    assert ("unsigned", 31, 50) in named(result)
    assert result.size == 30


@given(st.data())
def test_whatever_handovers_an_old_key_signs_nothing_after_its_own_is_proven(data: st.DataObject) -> None:
    log = signed(20, 5, handover=10)
    stored = forged_from(log.stored, 11)
    others = [new_signer(ORIGIN) for _ in range(2)]
    notes = [note for note in log.notes if note[0] <= 10]
    for _ in range(data.draw(st.integers(1, 5))):
        size = data.draw(st.integers(0, 20))
        one, two = data.draw(st.permutations([FIRST, *others]))[:2]
        notes.append(handed_over(size, stored, one, two))
        notes.append((size, Checkpoint(ORIGIN, size, root(stored[:size])).signed([one])))
    result = checked(assembled(renumbered(stored), sorted(notes, key=lambda n: n[0])), SECOND)
    assert result.size <= 10
    assert result.findings


def test_two_keys_that_no_handover_connects_are_not_both_believed() -> None:
    log = signed(handover=30)
    stored = forged_from(log.stored, 10)
    notes = [(60, Checkpoint(ORIGIN, 60, root(stored)).signed([FIRST]))]
    both = [read_key(str(key.verifier)) for key in (SECOND, FIRST)]
    with pytest.raises(Unusable, match="no handover connects"):
        verify([scan(assembled(renumbered(stored), notes))], both)
    assert verify([scan(log.file())], both).findings == []


@pytest.mark.parametrize("newest", [True, False])
def test_a_thousand_handovers_are_followed(newest: bool) -> None:
    log = signed(1, 1)
    keys = [new_signer(ORIGIN) for _ in range(1_100)]
    notes = [handed_over(0, log.stored, old, new) for old, new in pairwise(keys)]
    notes.append((1, Checkpoint(ORIGIN, 1, root(log.stored)).signed([keys[-1]])))
    assert checked(assembled(log.records, notes), keys[-1] if newest else keys[0]).findings == []


def test_handovers_in_a_circle_end() -> None:
    log = signed()
    notes = [handed_over(0, log.stored, FIRST, SECOND), handed_over(0, log.stored, SECOND, FIRST)]
    notes.append(handed_over(0, log.stored, FIRST, FIRST))
    assert checked(assembled(log.records, [*notes, *log.notes])).findings


# -- two logs of one key


def test_a_checkpoint_from_elsewhere_that_has_another_root_is_of_another_log() -> None:
    log = signed()
    mine = log.notes[-1][1]
    other = [*log.stored[:-1], changed(log.stored[-1])]
    notes = [*log.notes[:-1], (60, Checkpoint(ORIGIN, 60, root(other)).signed([FIRST]))]
    result = checked(assembled(renumbered(other), notes), elsewhere=(mine,))
    assert named(result) == [("forged", 60, 60)]
    assert "those of another checkpoint of 60" in result.findings[0].words


def test_a_wrong_checkpoint_of_the_handovers_size_hides_nothing() -> None:
    log = signed(handover=30)
    wrong = (30, Checkpoint(ORIGIN, 30, bytes(32)).signed([FIRST]))
    stored = list(log.stored)
    stored[31] = changed(stored[31])
    result = checked(assembled(renumbered(stored), [*log.notes, wrong]), SECOND)
    assert {("forged", 30, 30), ("changed", 32, 32)} <= set(named(result))


def test_a_log_of_no_records_has_one_root() -> None:
    log = signed()
    for root_of_none, findings in ((EMPTY, []), (bytes(32), [("forged", 0, 0)])):
        notes = [(0, Checkpoint(ORIGIN, 0, root_of_none).signed([FIRST])), *log.notes]
        assert named(checked(assembled(log.records, notes))) == findings


# -- what is told hides nothing


def test_an_edited_checkpoint_or_a_strange_line_does_not_hide_the_record_beside_it() -> None:
    log = signed()
    stored = list(log.stored)
    stored[22] = changed(stored[22])
    signature = log.notes[0][1].split("\n\n")[1]
    edited = f"{ORIGIN}\n23\n{base64.b64encode(bytes(32)).decode()}\n\n{signature}"
    assert ("changed", 23, 23) in named(checked(assembled(renumbered(stored), [*log.notes, (60, edited)])))
    lines = assembled(renumbered(stored), log.notes).split(b"\n")
    lines.insert(next(n for n, each in enumerate(lines) if each.startswith(b'{"revision":23,')), b"{}")
    assert ("changed", 23, 23) in named(checked(b"\n".join(lines)))


@given(st.integers(1, 17), st.data())
def test_a_record_whose_line_cannot_be_read_is_missing(revision: int, data: st.DataObject) -> None:
    log = signed(17, 1)
    text = log.records[revision - 1]
    place = data.draw(st.integers(0, text.index(b'"record":') + 8))
    log.records[revision - 1] = text[:place] + b"\x00" + text[place + 1 :]
    result = checked(log.file())
    assert any(f.kind not in ("file", "checkpoint") and f.first <= revision <= f.last for f in result.findings)


# -- numbers are not signed


@pytest.mark.parametrize("many", [21, 60])
def test_the_last_two_lines_exchanged_are_named(many: int) -> None:
    log = signed(many, 1 if many == 21 else 7)
    exchange(log.records, many - 2, many - 1)
    assert named(checked(log.file())) == [("reordered", many - 1, many)]


@pytest.mark.parametrize("renamed", [{10: 1000, 11: 1001}, {10: 11, 11: 10}, {60: 61}, {60: 1000}, {1: 2}])
def test_other_numbers_on_untouched_records_are_no_more_than_that(renamed: dict[int, int]) -> None:
    log = signed()
    for revision, number in renamed.items():
        text = log.records[revision - 1]
        log.records[revision - 1] = text.replace(b'{"revision":%d,' % revision, b'{"revision":%d,' % number, 1)
    result = checked(log.file())
    assert named(result) == [("file", min(renamed), max(renamed))]
    assert "Proven to be as signed: revisions 1 to 60." in report(result)


@pytest.mark.parametrize("revision", [2, 23, 59])
def test_a_dropped_record_is_named_with_the_numbers_kept(revision: int) -> None:
    log = signed()
    del log.records[revision - 1]
    assert ("dropped", revision, revision) in named(checked(log.file()))


def test_nobody_is_accused_of_a_chain_that_somebody_else_broke() -> None:
    log = signed(22, 1)
    moved = list(log.stored)
    moved.insert(20, moved.pop(11))
    doubled = [*log.records, log.records[-1]]
    for lines in (renumbered(moved), doubled):
        result = checked(assembled(lines, log.notes))
        assert result.findings
        assert not any("it was written so" in finding.words for finding in result.findings)


@pytest.mark.parametrize("place", range(1, 17))
def test_one_that_was_put_in_is_named_with_a_checkpoint_after_each_record(place: int) -> None:
    log = signed(17, 1)
    stored = list(log.stored)
    stored.insert(place, changed(stored[place - 1]))
    findings = checked(assembled(renumbered(stored), log.notes)).findings
    assert [finding[:3] for finding in findings if finding.kind != "chain"] == [("inserted", place + 1, place + 1)]


# -- work


@pytest.mark.parametrize("cut", [True, False])
def test_the_work_on_a_long_stretch_without_a_checkpoint_is_bounded(cut: bool) -> None:
    leaves = [leaf("r", b"%d" % number) for number in range(20_000)]
    whole = Whole([])
    whole.leaves = leaves[:-1] if cut else [*leaves[:-1], bytes(32)]
    whole.numbers = array("q", range(1, len(whole.leaves) + 1))
    read = cutover_verify.Tree().add(leaves).root()
    judge = Judge(whole, [cutover_verify.Checkpoint(ORIGIN, len(leaves), read, "", (), None, "checkpoint 1")])
    candidates, built = judge._candidates, 0

    def counted(piece: list[bytes], start: int, wanted: int) -> Iterator[tuple[list[bytes], list[Finding]]]:
        nonlocal built
        for candidate in candidates(piece, start, wanted):
            built += len(candidate[0])
            yield candidate

    judge._candidates = counted  # type: ignore[method-assign]
    judge.run()
    assert named(Result(0, 0, 0, judge.findings)) == [("cut" if cut else "changed", 1, len(leaves))]
    assert built <= cutover_verify.WORK + len(leaves)


# -- texts and files


def run(file: Path, key: Path, *more: str) -> tuple[int, str, str]:
    command = [sys.executable, "-I", cutover_verify.__file__, str(file), "--key", str(key), *more]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    return ended.returncode, ended.stdout, ended.stderr


@pytest.fixture
def public(tmp_path: Path) -> Path:
    file = tmp_path / "notary.pub"
    file.write_text(f"{FIRST.verifier}\n")
    return file


@pytest.mark.parametrize("text", ["60\x1b[2K\nOK: 60 records are as they were signed\n", "\ud800"])
def test_nothing_in_the_file_speaks_to_the_terminal(tmp_path: Path, public: Path, text: str) -> None:
    log = signed()
    start, _, _ = log.file().rpartition(b'{"end"')
    last = json.dumps({"end": True, "records": text, "checkpoints": 9}).encode() + b"\n"
    signature = log.notes[0][1].split("\n\n")[1].split(" ")[2]
    name = text.split("\n")[0]
    note = json.dumps({"checkpoint": f"{ORIGIN}\n60\n{'A' * 43}=\n\n— {name} {signature}"}).encode() + b"\n"
    (tmp_path / "log.jsonl").write_bytes(start + note + last)
    code, out, err = run(tmp_path / "log.jsonl", public)
    assert (code, err) == (1, "")
    assert "\x1b" not in out
    assert not any(each.startswith("OK") for each in out.splitlines())


@pytest.mark.parametrize("content", [str(FIRST), "cutover_9f8e7d6c5b4a39281706f5e4d3c2b1a0"])
def test_a_secret_that_was_given_for_the_key_is_not_printed(tmp_path: Path, content: str) -> None:
    (tmp_path / "log.jsonl").write_bytes(signed().file())
    (tmp_path / "key").write_text(f"{content}\n")
    code, out, err = run(tmp_path / "log.jsonl", tmp_path / "key")
    assert (code, out) == (2, "")
    assert "key" in err
    assert content[-20:] not in err
    assert content[:20] not in err.replace("PRIVATE+KEY", "")


def test_files_of_bytes_are_told_by_name(tmp_path: Path, public: Path) -> None:
    (tmp_path / "log.jsonl").write_bytes(signed().file())
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\x00")
    for code, out, err in (
        run(tmp_path / "log.jsonl", tmp_path / "bytes"),
        run(tmp_path / "log.jsonl", public, "--checkpoint", str(tmp_path / "bytes")),
    ):
        assert (code, out) == (2, "")
        assert f"{tmp_path / 'bytes'}: not a text file" in err


def test_line_ends_that_were_converted_are_told_as_such(tmp_path: Path, public: Path) -> None:
    (tmp_path / "log.jsonl").write_bytes(signed().file().replace(b"\n", b"\r\n"))
    code, _, err = run(tmp_path / "log.jsonl", public)
    assert code == 2
    assert "line ends were converted" in err


def test_a_report_has_an_end() -> None:
    result = Result(9, 0, 0, [Finding("file", n, n, f"line {n}") for n in range(1, 1_001)])
    assert "and 950 more" in report(result)
    assert len(report(result).splitlines()) == 53


# -- what others write


def test_a_witness_may_sign_beside_the_notary() -> None:
    log = signed()
    size, note = log.notes[-1]
    cosigned = f"{note}— witness.example/w {base64.b64encode(bytes(76)).decode()}\n"
    assert checked(assembled(log.records, [*log.notes[:-1], (size, cosigned)])).findings == []


@pytest.mark.parametrize("name", ['a"b', "back\\slash", "tab\tbed", "né"])
def test_a_rollout_of_any_name_is_verified(name: str) -> None:
    log = Signed([Stored(name, b'{"a":1}', "1"), Stored("plain", b'{"a":2}', "2")], [1, 2])
    result = checked(log.file())
    assert result.size == 2
    assert {finding.kind for finding in result.findings} == {"chain"}


def test_base64_stands_in_quotes() -> None:
    log = Signed([Stored("odd", b"\xff\xfe", "1")], [1])
    file = log.file()
    assert checked(file).size == 1
    start = file.index(b'"base64":"') + 9
    for broken in (file[:start] + b"X" + file[start + 1 :], file.replace(b'="}', b"=Y}")):
        assert broken != file
        assert "file" in {finding.kind for finding in checked(broken).findings}


def test_header_and_end_are_still_asked_for() -> None:
    log = signed()
    assert "file" in {f.kind for f in checked(log.file() + line({"end": True})).findings}
