"""The vault: references instead of people, ciphertext instead of words, and forgetting for good."""

from __future__ import annotations

import hashlib
import hmac as standard_hmac
import multiprocessing
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from msgspec.structs import replace
from sqlalchemy import Engine, insert, select, update

from events.facts import Evidence, WorkflowResult
from services.database import connect
from services.people.sealing import SessionCommand
from services.people.tester_ids import vault_ids
from services.people.vault import (
    ERASED,
    NOBODY_YET,
    Erased,
    Vault,
    VaultError,
    held_vault_key,
    hmac_key,
    vault,
    vault_key,
)
from services.rollout.commands import (
    CancelSession,
    CloseWindow,
    CutOver,
    MoveSession,
    OpenWindow,
    RecordSession,
    ScheduleSession,
    WaiveWorkflow,
)

KEY = bytes(range(32))
VETERAN = "veteran-0042@example.org"


# What lies on the disk is looked for in SQLite's files, which are this test's alone.
in_files = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
def safe(database: Engine) -> Vault:
    return Vault(database, KEY)


def test_a_user_keeps_one_reference_that_says_nothing_about_them(safe: Vault) -> None:
    reference = safe.reference(VETERAN)
    assert safe.reference(VETERAN) == reference
    assert safe.reference("somebody else") != reference
    assert reference.startswith("t-")
    assert len(reference) == 18
    assert int(reference[2:], 16) >= 0


def test_the_hmac_is_hmac_sha256_under_the_tester_key(safe: Vault) -> None:
    key = HKDF(SHA256(), 32, salt=None, info=b"cutover vault: tester ids").derive(KEY)
    assert hmac_key(KEY) == key
    assert safe.hmac(VETERAN) == standard_hmac.new(key, VETERAN.encode(), hashlib.sha256).hexdigest()


def test_the_tester_key_never_changes() -> None:
    key = "afbec10eab3ffa6637769005c197a38bb29f37b345e8c62482ca2ad3827874ef"
    assert hmac_key(KEY).hex() == key


def test_references_give_their_hmacs_and_unknown_ones_are_left_out(safe: Vault) -> None:
    many = {safe.reference(f"user-{n}"): safe.hmac(f"user-{n}") for n in range(3)}
    assert safe.hmacs([*many, "t-0123456789abcdef"]) == many
    assert safe.hmacs([]) == {}


def test_more_references_than_one_statement_may_name_are_all_found(safe: Vault) -> None:
    reference = safe.reference(VETERAN)
    unknown = [f"t-{n:016x}" for n in range(1200)]
    assert safe.hmacs([*unknown, reference]) == {reference: safe.hmac(VETERAN)}


@in_files
def test_nothing_in_the_database_names_the_user(database: Engine, safe: Vault, tmp_path: Path) -> None:
    safe.reference(VETERAN)
    stored = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert safe.hmac(VETERAN).encode() in stored
    assert VETERAN.encode() not in stored


# -- commands


def test_scheduling_a_session_names_the_reference_and_repeating_it_gives_the_same_command(safe: Vault) -> None:
    command = ScheduleSession(session="s1", tester=VETERAN, at="2022-08-01T10:00")
    sealed = safe.seal(command)
    assert isinstance(sealed, ScheduleSession)
    assert sealed.tester == safe.reference(VETERAN)
    assert sealed.at == command.at
    assert safe.seal(command) == sealed
    assert safe.seal(sealed) == sealed


def test_a_dry_run_does_not_make_anybody_known(safe: Vault, database: Engine) -> None:
    sealed = safe.seal(ScheduleSession(session="s1", tester=VETERAN, dry_run=True))
    assert isinstance(sealed, ScheduleSession)
    assert sealed.tester == NOBODY_YET
    with database.connect() as connection:
        assert connection.execute(select(vault)).all() == []
    reference = safe.reference(VETERAN)
    again = safe.seal(ScheduleSession(session="s1", tester=VETERAN, dry_run=True))
    assert isinstance(again, ScheduleSession)
    assert again.tester == reference


def recorded() -> RecordSession:
    tried = WorkflowResult("View upcoming", True, (1.5,), "Mrs Miller liked it", "a 502 for Mrs Miller")
    return RecordSession(session="s1", workflows=(tried, WorkflowResult("Cancel", False)), comments="met Mrs Miller")


def test_free_text_about_a_session_is_sealed_alike_every_time_and_opens_again(safe: Vault) -> None:
    reference = safe.reference(VETERAN)
    sealed = safe.seal(recorded(), reference)
    assert isinstance(sealed, RecordSession)
    assert "Miller" not in repr(sealed)
    assert safe.seal(recorded(), reference) == sealed
    assert safe.seal(sealed, reference) == sealed
    assert safe.open_text(reference, sealed.comments) == "met Mrs Miller"
    first, second = sealed.workflows
    assert first.comments.startswith("enc:")
    assert safe.open_text(reference, first.comments) == "Mrs Miller liked it"
    assert safe.open_text(reference, first.errors) == "a 502 for Mrs Miller"
    assert (first.workflow, first.done, first.load_times) == ("View upcoming", True, (1.5,))
    assert second == WorkflowResult("Cancel", False)


def test_text_that_only_looks_sealed_is_sealed(safe: Vault) -> None:
    reference = safe.reference(VETERAN)
    for text in ("enc:Mrs Miller", "enc:", "enc:AAAA", "enc:ünïcode"):
        sealed = safe.seal_text(reference, text)
        assert sealed != text
        assert safe.open_text(reference, sealed) == text


def test_the_texts_of_a_session_that_nobody_knows_are_dropped(safe: Vault) -> None:
    sealed = safe.seal(recorded(), "")
    assert "Miller" not in repr(sealed)
    assert isinstance(sealed, RecordSession)
    assert sealed.comments == ""
    assert sealed.workflows[0].load_times == (1.5,)


def test_another_testers_key_does_not_open_it(safe: Vault) -> None:
    one, other = safe.reference("one"), safe.reference("other")
    sealed = safe.seal_text(one, "a comment")
    with pytest.raises(VaultError, match="was not sealed for"):
        safe.open_text(other, sealed)
    with pytest.raises(VaultError, match="was not sealed for"):
        safe.open_text(one, sealed[:-4] + "AAA=")
    assert safe.open_text(one, "written before there was a vault") == "written before there was a vault"


def test_other_commands_pass_as_they_are(safe: Vault) -> None:
    command = CutOver(reason="all set")
    assert safe.seal(command) is command


# -- forgetting


@in_files
def test_erasing_destroys_the_row_and_the_key_on_the_disk_too(safe: Vault, database: Engine, tmp_path: Path) -> None:
    kept_reference = safe.reference("somebody who stays")
    reference = safe.reference(VETERAN)
    sealed = safe.seal_text(reference, "a comment")
    with database.connect() as connection:
        wrapped = connection.scalar(select(vault.c.key).where(vault.c.reference == reference))
    assert wrapped is not None

    assert safe.erase(VETERAN) is True
    assert safe.erase(VETERAN) is False

    assert safe.hmacs([reference, kept_reference]) == {kept_reference: safe.hmac("somebody who stays")}
    with pytest.raises(Erased, match="was erased"):
        safe.open_text(reference, sealed)
    with pytest.raises(Erased, match="was erased"):
        safe.seal(recorded(), reference)
    stored = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    for trace in (wrapped, reference.encode(), safe.hmac(VETERAN).encode()):
        assert trace not in stored
    assert safe.reference(VETERAN) != reference


def test_a_session_without_text_may_be_recorded_after_its_tester_was_erased(safe: Vault) -> None:
    reference = safe.reference(VETERAN)
    safe.erase(VETERAN)
    command = RecordSession(session="s1", outcome="no_show")
    assert safe.seal(command, reference) == command


# -- ids that can be given back


@in_files
def test_a_kept_id_is_given_back_and_lies_in_no_file(safe: Vault, tmp_path: Path) -> None:
    kept, other = safe.reference(VETERAN), safe.reference("somebody else")
    safe.keep_id(kept, VETERAN)
    safe.keep_id(kept, VETERAN)
    assert safe.ids([kept, other, "t-0123456789abcdef"]) == {kept: VETERAN}
    assert VETERAN.encode() not in b"".join(file.read_bytes() for file in tmp_path.iterdir())


def test_a_tester_who_is_named_by_reference_needs_an_id_kept_before(safe: Vault) -> None:
    reference = safe.reference(VETERAN)
    with pytest.raises(VaultError, match="schedule the session by the id of the user"):
        safe.keep_id(reference, reference)
    safe.keep_id(reference, VETERAN)
    safe.keep_id(reference, reference)
    assert safe.ids([reference]) == {reference: VETERAN}


@in_files
def test_erasing_destroys_the_kept_id_on_the_disk_too_and_none_is_kept_afterwards(
    safe: Vault, database: Engine, tmp_path: Path
) -> None:
    reference = safe.reference(VETERAN)
    safe.keep_id(reference, VETERAN)
    with database.connect() as connection:
        sealed = connection.scalar(select(vault_ids.c.id).where(vault_ids.c.reference == reference))
    assert sealed is not None
    assert sealed in b"".join(file.read_bytes() for file in tmp_path.iterdir())
    safe.erase(VETERAN)
    assert safe.ids([reference]) == {}
    assert sealed not in b"".join(file.read_bytes() for file in tmp_path.iterdir())
    with pytest.raises(Erased, match="was erased just now"):
        safe.keep_id(reference, VETERAN)


def test_an_id_moved_to_another_tester_is_nobodys(safe: Vault, database: Engine) -> None:
    one, other = safe.reference(VETERAN), safe.reference("somebody else")
    safe.keep_id(one, VETERAN)
    safe.keep_id(other, "somebody else")
    with database.begin() as connection:
        stolen = connection.scalar(select(vault_ids.c.id).where(vault_ids.c.reference == one))
        connection.execute(update(vault_ids).where(vault_ids.c.reference == other).values(id=stolen))
    assert safe.ids([one, other]) == {one: VETERAN}


# -- the key


def test_the_vault_key_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "new" / "vault.key"
    key = vault_key(path)
    assert len(key) == 32
    assert vault_key(path) == key
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in path.parent.iterdir()] == ["vault.key"]


def test_many_at_once_make_one_vault_key(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        keys = list(pool.map(lambda _: vault_key(tmp_path / "vault.key"), range(32)))
    assert len(set(keys)) == 1


def test_a_vault_key_of_another_length_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "vault.key"
    path.write_bytes(b"short")
    with pytest.raises(VaultError, match="must be 32 bytes long; found 5"):
        vault_key(path)


def test_a_vault_does_not_open_with_another_key(safe: Vault, database: Engine) -> None:
    Vault(database, bytes(32))  # still empty: any key fits
    safe.reference(VETERAN)
    with pytest.raises(VaultError, match="does not open the key of t-"):
        Vault(database, bytes(32))


def test_testers_whose_ids_were_keyed_with_the_vault_key_itself_are_noticed(database: Engine) -> None:
    old = AESGCM(HKDF(SHA256(), 32, salt=None, info=b"cutover vault: tester keys").derive(KEY))
    wrapped = bytes(12) + old.encrypt(bytes(12), b"a key", b"t-0123456789abcdef")
    hmac = standard_hmac.new(KEY, VETERAN.encode(), hashlib.sha256).hexdigest()
    with database.begin() as connection:
        connection.execute(insert(vault).values(hmac=hmac, reference="t-0123456789abcdef", key=wrapped))
    with pytest.raises(VaultError, match=r"does not open the key of t-0123456789abcdef.*before 0\.1\.0"):
        Vault(database, KEY)


def test_a_vault_key_that_is_only_read_is_never_made(tmp_path: Path) -> None:
    path = tmp_path / "vault.key"
    with pytest.raises(VaultError, match="cannot be read: No such file"):
        held_vault_key(path)
    assert not path.exists()
    key = vault_key(path)
    assert held_vault_key(path) == key


def _reference_in_another_process(url: str, start: object, found: object) -> None:
    safe = Vault(connect(url), KEY)
    start.wait()  # type: ignore[attr-defined]
    found.put([safe.reference(f"user-{n}") for n in range(10)])  # type: ignore[attr-defined]


def test_two_processes_that_race_for_a_tester_get_one_reference(database_url: str) -> None:
    connect(database_url).dispose()
    spawn = multiprocessing.get_context("spawn")
    start, found = spawn.Barrier(2), spawn.Queue()
    racers = [spawn.Process(target=_reference_in_another_process, args=(database_url, start, found)) for _ in range(2)]
    for racer in racers:
        racer.start()
    answers = [found.get(timeout=60) for _ in racers]
    for racer in racers:
        racer.join()
    assert answers[0] == answers[1]
    assert len(set(answers[0])) == 10


# -- what stands beside it


def whole_of(kind: str) -> SessionCommand:
    """A session command with free text wherever there can be some."""
    evidence = (Evidence("answer", "Mrs Miller's mail", "Mrs Miller", "Miller?", "Miller", "pass", "", "Miller"),)
    beside: dict[str, Any] = {"reason": "Mrs Miller is ill", "note": "call Mrs Miller", "evidence": evidence}
    tried = (WorkflowResult("View", False, (1.5,), "Mrs Miller liked it", "Mrs Miller saw a 502", "Mrs Miller knows"),)
    commands: dict[str, SessionCommand] = {
        "schedule": ScheduleSession("s1", VETERAN, **beside),
        "move": MoveSession("s1", "2022-08-01T10:00", **beside),
        "cancel": CancelSession("s1", **beside),
        "open": OpenWindow("s1", **beside),
        "close": CloseWindow("s1", **beside),
        "record": RecordSession("s1", workflows=tried, comments="Mrs Miller came", **beside),
        "waive": WaiveWorkflow("s1", "View", **beside),
    }
    return commands[kind]


KINDS = ["schedule", "move", "cancel", "open", "close", "record", "waive"]


@pytest.mark.parametrize("kind", KINDS)
def test_every_free_text_of_a_session_command_is_sealed_alike_every_time(safe: Vault, kind: str) -> None:
    command, reference = whole_of(kind), safe.reference(VETERAN)
    sealed = safe.seal(command, reference)
    assert "Miller" not in repr(sealed)
    assert VETERAN not in repr(sealed)
    assert safe.seal(command, reference) == sealed
    assert safe.seal(sealed, reference) == sealed
    assert safe.open_text(reference, sealed.reason) == "Mrs Miller is ill"
    (evidence,) = sealed.evidence
    assert (evidence.kind, evidence.verdict) == ("answer", "pass")
    assert safe.open_text(reference, evidence.text) == "Mrs Miller"


@pytest.mark.parametrize("kind", ["move", "cancel", "open", "close", "waive"])
def test_a_reason_that_cannot_be_kept_any_more_refuses_nothing(safe: Vault, kind: str) -> None:
    reference = safe.reference(VETERAN)
    safe.erase(VETERAN)
    sealed = safe.seal(whole_of(kind), reference)
    assert "Miller" not in repr(sealed)
    assert sealed.reason == sealed.note == ERASED


@pytest.mark.parametrize("kind", KINDS)
def test_the_texts_of_a_command_about_no_session_are_dropped(safe: Vault, kind: str) -> None:
    sealed = safe.seal(replace(whole_of(kind), dry_run=True), "")
    assert "Miller" not in repr(sealed)
    assert sealed.reason == ""


def test_the_vault_says_whom_it_knows_without_making_anybody_known(safe: Vault, database: Engine) -> None:
    assert safe.known(VETERAN) == ""
    reference = safe.reference(VETERAN)
    assert safe.known(VETERAN) == reference
    assert safe.holds(reference)
    safe.erase(VETERAN)
    assert not safe.holds(reference)
    assert safe.known(VETERAN) == ""
