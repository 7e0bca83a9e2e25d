"""What a user got for a toggle at an instant, why, and which record made it so.

One rule: the deciding record is the last one that changed what the answer rests on: had the log ended before it,
something else would have been the reason at that instant.

It goes by the log. What an answer rests on (its `Ground`) holds whatever of the snapshot bears on this user at this
instant and nothing else, so records that only concern others never decide.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from events.exposed import exposure_words
from events.facts import Audience, Exposure
from projections import flags
from projections.flags import Answer, FlagSnapshot, Window, holds, in_group, limit

Why = Literal["unlisted", "phase", "nobody", "everyone", "window", "audience", "halted", "outside", "erased"]

BEARING = tuple(sorted(str(kind.__struct_config__.tag) for kind in flags.BEARING))
"""The facts, by their stored names, that can change who has the toggles on."""


class Asked(Struct, frozen=True):
    """Whose answer, for which toggle ("": the group, whatever is in it), at which instant.

    `user` None: an unknown visitor. `reference` is the vault's for this user ("": no tester); `forgotten` are the
    references of testers who have been erased, so that nobody can say any more who they were.
    """

    toggle: str
    user: str | None
    at: datetime
    attributes: Mapping[str, str] = {}
    reference: str = ""
    forgotten: frozenset[str] = frozenset()


class Ground(Struct, frozen=True):
    """What an answer rests on. `windows`: this user's own that bear on it, or those of erased testers."""

    why: Why
    phase: str = ""
    exposure: Exposure | None = None
    audience: Audience | None = None
    windows: tuple[Window, ...] = ()


def ground(snapshot: FlagSnapshot, asked: Asked) -> Ground:
    """What the answer rests on where the log says this; in the order in which `flags.evaluate` judges."""
    exposure = snapshot.exposure
    if (asked.toggle and asked.toggle not in snapshot.toggles) or not flags.answers(snapshot):
        return Ground("unlisted")
    if snapshot.phase in ("planned", "rolled_back"):
        return Ground("phase", phase=snapshot.phase)
    if exposure.to in ("nobody", "everyone"):
        return Ground("nobody" if exposure.to == "nobody" else "everyone")
    if asked.user is None:
        return Ground("outside", exposure=exposure)
    return _of_user(snapshot, asked, asked.user)


def _of_user(snapshot: FlagSnapshot, asked: Asked, user: str) -> Ground:
    mine = tuple(replace(w, opened=False) for w in snapshot.windows if asked.reference and w.tester == asked.reference)
    now = [w for w in snapshot.windows if holds(w, asked.at)]
    on = [w for w in now if w.opened or not snapshot.halted]
    if own := [w for w in on if w.tester == asked.reference]:
        return Ground("window", windows=(replace(own[0], opened=False),))
    for audience in snapshot.exposure.audiences:
        if in_group(audience, user, asked.attributes) and flags.bucket(snapshot, user) < limit(audience):
            return Ground("audience", audience=audience)
    if lost := tuple(replace(w, opened=False) for w in on if w.tester in asked.forgotten):
        return Ground("erased", windows=lost)
    if any(w.tester == asked.reference for w in now):
        return Ground("halted", windows=tuple(w for w in mine if holds(w, asked.at)))
    return Ground("outside", exposure=snapshot.exposure, windows=mine)


def answer(snapshot: FlagSnapshot, asked: Asked) -> Answer | None:
    """What readers answered, as `flags.evaluate` does; None where that cannot be known, or nothing was answered."""
    if ground(snapshot, asked).why in ("unlisted", "erased"):
        return None
    known = replace(snapshot, testers={asked.reference: "this user"} if asked.reference else {})
    return flags.evaluate(known, asked.user, asked.at, lambda _user: "this user", asked.attributes)


def decided_by(newest_first: Iterable[tuple[int, FlagSnapshot]], asked: Asked) -> int:
    """The revision of the deciding record, from the snapshots after each record, the latest first; at least one."""
    snapshots = iter(newest_first)
    decided, last = next(snapshots)
    rests_on = ground(last, asked)
    for revision, snapshot in snapshots:
        if ground(snapshot, asked) != rests_on:
            break
        decided = revision
    return decided


# -- in words


def words(found: Ground, snapshot: FlagSnapshot, asked: Asked) -> str:
    """One sentence about why. It names nobody, and no times: they are in the ground's windows."""
    match found.why:
        case "unlisted":
            return "no rollout answered for this toggle"
        case "phase":
            because = {"planned": "the release had not begun", "rolled_back": "the release was rolled back"}
            return f"{because[found.phase]}: the whole group was off"
        case "nobody":
            return "nobody had the group on"
        case "everyone":
            return "everyone had the group on"
        case "window":
            return f"inside their window, of session {found.windows[0].session}"
        case "halted":
            return f"the rollout was halted before their window, of session {found.windows[0].session}, opened"
        case "erased":
            return (
                "cannot be known: the tester of a window that was open then has been erased; "
                "if it was this user the group was on for them, otherwise off"
            )
        case "audience" | "outside":
            return _among(found, snapshot, asked)


def _among(found: Ground, snapshot: FlagSnapshot, asked: Asked) -> str:
    share = ""
    if stands := standing(found, snapshot, asked):
        place, end, group = stands
        whom = f" of {group}" if group else " of all users"
        share = f"the first {end / 1000:g}%{whom} had the group on, and this user stands at {place / 1000:g}%"
    if found.audience is not None:
        return share or f"in {found.audience.group}, which had the group on"
    if share:
        return share
    exposure = found.exposure or snapshot.exposure
    if asked.user is None:
        return f"no user was named; the group was on for {exposure_words(exposure)}"
    if exposure.to == "testers":
        theirs = ", ".join(window.session for window in found.windows)
        not_now = f"; this user's, of session {theirs}, was at another time" if theirs else ""
        return f"only testers had the group on, each inside their window{not_now}"
    return f"the group was on for {exposure_words(exposure)}, and this user was not among them"


def standing(found: Ground, snapshot: FlagSnapshot, asked: Asked) -> tuple[int, int, str] | None:
    """(bucket, limit, group) where a percentage decided: places among flags.BUCKETS. None: it did not."""
    if asked.user is None:
        return None
    audiences = [found.audience] if found.audience else list(found.exposure.audiences if found.exposure else ())
    mine = [a for a in audiences if a.percentage < 100 and in_group(a, asked.user, asked.attributes)]
    if not mine:
        return None
    widest = max(mine, key=limit)
    return flags.bucket(snapshot, asked.user), limit(widest), widest.group
