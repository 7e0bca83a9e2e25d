"""Tokens: shown once, stored as hashes, one name one person, every change kept."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Engine, select

from events.facts import Actor
from services.people.tokens import ROLES, TokenConflict, TokenError, Tokens, UnknownName, token_changes, tokens

NOON = datetime(2022, 7, 29, 12, tzinfo=UTC)


class Stopwatch:
    """Seconds that pass only when told to."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def stopwatch() -> Stopwatch:
    return Stopwatch()


@pytest.fixture
def book(database: Engine, stopwatch: Stopwatch) -> Tokens:
    book = Tokens(database, lambda: NOON, stopwatch)
    book.add("root", "admin", (), by="first start")
    return book


def test_a_token_says_who_its_holder_is(book: Tokens) -> None:
    token = book.add("pat", "approver", ("VAOS Product Owner", " Business Stakeholders ", "VAOS Product Owner"), "root")
    assert token.startswith("cut_")
    assert len(token) == 47
    assert book.who(token) == Actor("pat", "approver", ("VAOS Product Owner", "Business Stakeholders"))


@pytest.mark.parametrize("token", ["", "cut_", "cut_" + "A" * 43, "Bearer x", "ünïcode"])
def test_what_is_no_token_is_nobody(book: Tokens, token: str) -> None:
    assert book.who(token) is None


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # its files are looked into
def test_only_the_hash_of_a_token_is_stored(book: Tokens, database: Engine, tmp_path: Path) -> None:
    token = book.add("pat", "approver", (), "root")
    stored = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert token.encode() not in stored
    assert token.removeprefix("cut_").encode() not in stored


@pytest.mark.parametrize("role", ["approvr", "clock", "", "ADMIN"])
def test_an_unknown_role_is_refused_and_the_known_ones_are_named(book: Tokens, role: str) -> None:
    with pytest.raises(TokenError) as refused:
        book.add("pat", role, (), "root")
    assert f"there is no role '{role}'" in str(refused.value)
    assert all(known in str(refused.value) for known in ROLES)
    assert len(book.list()) == 1


@pytest.mark.parametrize("name", ["", "clock", "-pat", "pat doe", "pat/doe", "p" * 101, "pat\n"])
def test_a_name_that_cannot_be_one_is_refused(book: Tokens, name: str) -> None:
    with pytest.raises(TokenError, match="a name has 1 to 100"):
        book.add(name, "reader", (), "root")


def test_one_name_is_one_person_with_as_many_tokens_as_they_need(book: Tokens) -> None:
    first = book.add("pat", "approver", ("A", "B"), "root")
    second = book.add("pat", "approver", ("B", "A"), "root")
    assert first != second
    one, other = book.who(first), book.who(second)
    assert one is not None
    assert other is not None
    assert one.subject == other.subject == "pat"


@pytest.mark.parametrize(("role", "titles"), [("approver", ("Other",)), ("admin", ("Owner",)), ("approver", ())])
def test_a_second_person_of_the_same_name_is_refused(book: Tokens, role: str, titles: tuple[str, ...]) -> None:
    book.add("pat", "approver", ("Owner",), "root")
    before = (book.list(), book.history())
    with pytest.raises(TokenConflict, match="'pat' already has a token with the role approver"):
        book.add("pat", role, titles, "root")
    assert (book.list(), book.history()) == before


def test_after_revoking_a_person_may_come_back_in_another_role(book: Tokens) -> None:
    book.add("pat", "approver", ("Owner",), "root")
    book.revoke("pat", "root")
    token = book.add("pat", "reader", (), "root")
    assert book.who(token) == Actor("pat", "reader")


def test_a_revoked_token_is_nobodys_at_once(book: Tokens) -> None:
    tokens_of_pat = [book.add("pat", "reader", (), "root") for _ in range(2)]
    assert all(book.who(token) for token in tokens_of_pat)
    assert book.revoke("pat", "root") == 2
    assert not any(book.who(token) for token in tokens_of_pat)


def test_what_another_process_revoked_is_nobodys_within_two_seconds(
    book: Tokens, database: Engine, stopwatch: Stopwatch
) -> None:
    token = book.add("pat", "reader", (), "root")
    other = Tokens(database, lambda: NOON, stopwatch)
    assert other.who(token)
    assert other.fresh()
    book.revoke("pat", "root")
    stopwatch.seconds += 2.0
    assert not other.fresh()
    assert other.who(token) is None


def test_revoking_nobody_is_an_error_that_names_the_nearest(book: Tokens) -> None:
    book.add("patricia", "reader", (), "root")
    with pytest.raises(UnknownName, match=r"nobody named 'patrica' .*the nearest is 'patricia'"):
        book.revoke("patrica", "root")


def test_the_last_admin_stays(book: Tokens) -> None:
    book.add("pat", "reader", (), "root")
    with pytest.raises(TokenConflict, match="'root' is the last admin"):
        book.revoke("root", "root")
    assert [row.revoked for row in book.list()] == ["", ""]
    book.add("other", "admin", (), "root")
    assert book.revoke("root", "other") == 1


def test_every_change_is_kept_with_who_made_it(book: Tokens, database: Engine) -> None:
    book.add("pat", "approver", ("Owner",), "root")
    book.revoke("pat", "root")
    changes = book.history()
    assert [(c.what, c.name, c.by) for c in changes] == [
        ("added", "root", "first start"),
        ("added", "pat", "root"),
        ("revoked", "pat", "root"),
    ]
    assert changes[1].titles == ("Owner",)
    assert changes[1].at == "2022-07-29T12:00:00.000+00:00"
    assert book.list()[1].revoked_by == "root"
    with database.connect() as connection:
        assert len(connection.execute(select(token_changes)).all()) == len(changes)


# -- the first admin


def test_the_first_start_writes_an_admins_token_for_its_owner_alone(database: Engine, tmp_path: Path) -> None:
    book = Tokens(database, lambda: NOON)
    path = tmp_path / "data" / "admin.token"
    assert book.ensure_admin(path) is True
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert book.who(path.read_text().strip()) == Actor("admin", "admin")
    written = path.read_bytes()
    assert book.ensure_admin(path) is False
    assert path.read_bytes() == written
    assert len(book.list()) == 1


def test_a_later_start_writes_no_file_even_when_the_first_was_taken_away(database: Engine, tmp_path: Path) -> None:
    book = Tokens(database, lambda: NOON)
    path = tmp_path / "admin.token"
    book.ensure_admin(path)
    path.unlink()
    assert book.ensure_admin(path) is False
    assert not path.exists()


def test_a_first_start_cut_off_after_the_file_is_finished_by_the_next(database: Engine, tmp_path: Path) -> None:
    path = tmp_path / "admin.token"
    path.write_text("cut_" + "x" * 43 + "\n")
    book = Tokens(database, lambda: NOON)
    assert book.ensure_admin(path) is True
    assert book.who("cut_" + "x" * 43) == Actor("admin", "admin")


def test_a_file_without_a_token_is_an_error_and_stays_as_it_is(database: Engine, tmp_path: Path) -> None:
    path = tmp_path / "admin.token"
    path.write_text("something else")
    with pytest.raises(TokenError, match=r"admin\.token must hold a token"):
        Tokens(database, lambda: NOON).ensure_admin(path)
    assert path.read_text() == "something else"


def test_first_starts_at_the_same_time_make_one_admin(database: Engine, tmp_path: Path) -> None:
    books = [Tokens(database, lambda: NOON) for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        first = list(pool.map(lambda book: book.ensure_admin(tmp_path / "admin.token"), books))
    assert first.count(True) == 1
    with database.connect() as connection:
        assert len(connection.execute(select(tokens)).all()) == 1
