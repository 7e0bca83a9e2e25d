"""/v1/rollouts: begin one, see where it stands, ask something of it.

One rule: a command is answered with what the log says, and the same Idempotency-Key always with the same answer.
"""

from __future__ import annotations

import asyncio
import re
from uuid import uuid4

from litestar import Response, get, post
from litestar.params import FromPath
from msgspec import Struct
from msgspec.structs import replace

from events.facts import Fact, Phase
from events.plan.names import IDENTIFIER
from events.plan.schema import Plan
from projections.rollouts import RolloutRow
from services.api.access import actor_of
from services.api.answers import answer
from services.api.asof import as_of, not_yet, past
from services.api.described import AS_OF, AT_LEAST, KEY, ROLLOUT, SENT, Body, Items, Param, described
from services.api.freshness import views_caught_up
from services.api.problems import failed, refused, unknown_rollout
from services.api.reading import read_command, read_written_plan
from services.api.service import Request, service_of
from services.engine import messages
from services.engine.messages import RESERVED, Accepted, Refusal
from services.rollout.commands import Adopt, Command
from services.rollout.state import Rollout
from services.rollout.status import Status, status
from services.views.past import NotYet, Point

_KEY = re.compile(r"[!-~]{1,200}")
_YAML = ("application/yaml", "text/yaml", "application/x-yaml", "text/x-yaml", "text/plain", "")


class Begun(Struct, frozen=True):
    """The answer to an adopted plan."""

    id: str
    revision: int


class Done(Struct, frozen=True):
    """The answer to a command. `already`: it was so before, and nothing was written."""

    revision: int
    phase: str
    facts: tuple[Fact, ...]
    already: bool
    dry_run: bool
    effects: tuple[str, ...]


NAMED = Param("id", "The rollout's id, where the plan does not name itself.", example="vaos-service-integration")
WRITTEN = {"$ref": "#/components/schemas/WrittenPlan"}
YAML = {"application/yaml": {"type": "string"}}
SMALL = {"title": "Darker buttons", "toggles": {"darker_buttons_web": "on the web"}}
BEGIN = described(
    "rollouts",
    Begun,
    "The rollout has begun.",
    status=201,
    headers=("Location",),
    params=(NAMED, KEY),
    takes=Body(
        WRITTEN, "A plan, as people write it.", {"small": SMALL}, others={"application/yaml": {"type": "string"}}
    ),
    problems=(*SENT, "already-exists"),
)
COMMAND = described(
    "rollouts",
    Done,
    "It was done, or was so already, or (a dry run) would be done.",
    params=(ROLLOUT, KEY),
    takes=Body(
        {"$ref": "#/components/schemas/Command"},
        "One command.",
        {
            "cut over": {"type": "cut_over", "reason": "testing went well"},
            "go": {"type": "decide", "decision": "go", "title": "Product Owner", "seen": 12},
            "roll back": {"type": "roll_back"},
            "would it go": {"type": "advance", "to": "25%", "dry_run": True},
        },
    ),
    problems=(*SENT, "already-exists"),
)


@post("/v1/rollouts", opt=BEGIN)
async def begin(request: Request) -> Response[bytes]:
    """Adopt the plan in the body (YAML or JSON); `?id=` names it when it does not name itself."""
    kind = _content_type(request)
    if kind not in _YAML and not _is_json(kind):
        raise failed("unsupported-media-type", f"a plan is application/yaml or application/json; found '{kind[:80]}'")
    body = await request.body()
    plan = await asyncio.to_thread(
        read_written_plan, body, is_json=_is_json(kind), default_id=request.query_params.get("id", "")
    )
    done = await _ask(request, plan.id, Adopt(plan=plan))
    return answer(Begun(plan.id, done.revision), 201, {"Location": f"/v1/rollouts/{plan.id}"})


@post("/v1/rollouts/{rollout:str}/commands", opt=COMMAND, status_code=200)
async def command(request: Request, rollout: FromPath[str]) -> Response[bytes]:
    """Send one command, `{"type": ..., ...}`."""
    kind = _content_type(request)
    if kind and not _is_json(kind):
        raise failed("unsupported-media-type", f"a command is application/json; found '{kind[:80]}'")
    if not IDENTIFIER.fullmatch(rollout):
        raise unknown_rollout(rollout)
    asked = await asyncio.to_thread(read_command, await request.body(), rollout)
    done = await _ask(request, rollout, asked)
    return answer(Done(done.revision, done.phase, done.facts, done.already, done.dry_run, done.effects))


@get("/v1/rollouts", opt=described("rollouts", Items[RolloutRow], params=(AT_LEAST, AS_OF)))
async def rollouts(request: Request) -> Response[bytes]:
    """Every rollout, by id; `?as_of=` as they were."""
    await views_caught_up(request)
    return answer(Items(await _rows(request, as_of(request))))


@get("/v1/rollouts/{rollout:str}", opt=described("rollouts", Status, params=(ROLLOUT, AT_LEAST, AS_OF)))
async def rollout_status(request: Request, rollout: FromPath[str]) -> Response[bytes]:
    """Where it stands, and everything that blocks its next move; `?as_of=` as it was."""
    await views_caught_up(request)
    point = as_of(request)
    if point is not None:
        then = await past(request, rollout, point)
        found = status(then.state, then.now, await _phases(request, then.state, point))
        return answer(replace(_stopped(found, then.stopped), as_of=then.now))
    state = await _state(request, rollout)
    found = status(state, service_of(request).now(), await _phases(request, state))
    return answer(_stopped(found, (await asyncio.to_thread(service_of(request).views.stopped)).get(rollout, "")))


def _stopped(found: Status, why: str) -> Status:
    """With the reason why the rollout's projections stand still, before what blocks it anyway."""
    return replace(found, blockers=(f"this rollout is stopped: {why}", *found.blockers)) if why else found


@get("/v1/rollouts/{rollout:str}/plan", opt=described("rollouts", Plan, params=(ROLLOUT, AT_LEAST, AS_OF)))
async def plan(request: Request, rollout: FromPath[str]) -> Response[bytes]:
    """Its plan in the stored form, as it now stands; `?as_of=` as it was."""
    await views_caught_up(request)
    point = as_of(request)
    state = await _state(request, rollout) if point is None else (await past(request, rollout, point)).state
    return answer(state.plan)


async def _state(request: Request, rollout: str) -> Rollout:
    found: Rollout | None = await asyncio.to_thread(service_of(request).views.state, rollout)
    if found is None:
        raise unknown_rollout(rollout)
    return found


async def _rows(request: Request, point: Point | None) -> list[RolloutRow]:
    try:
        return await asyncio.to_thread(service_of(request).views.rollouts, point)
    except NotYet as error:
        raise not_yet("as_of", error) from error


async def _phases(request: Request, state: Rollout, point: Point | None = None) -> dict[str, Phase]:
    """How far the rollouts are, or were, that this one comes after."""
    if not state.plan.after:
        return {}
    return {row.id: row.phase for row in await _rows(request, point) if row.id in state.plan.after}


async def _ask(request: Request, rollout: str, asked: Command) -> Accepted:
    question = messages.Request(rollout=rollout, command_id=_command_id(request), by=actor_of(request), command=asked)
    reply = await service_of(request).ask(question)
    if isinstance(reply, Refusal):
        raise refused(reply, str(asked.__struct_config__.tag))
    return reply


def _command_id(request: Request) -> str:
    """The Idempotency-Key, as it is or in quotes (the header's draft standard says so); a random one without."""
    given = request.headers.get("idempotency-key")
    if given is None:
        return str(uuid4())
    key = given.strip().removeprefix('"').removesuffix('"')
    if not _KEY.fullmatch(key):
        raise failed("malformed", "Idempotency-Key must be 1 to 200 printable ASCII characters without spaces")
    own = next((beginning for beginning in RESERVED if key.startswith(beginning)), "")
    if own:
        words = f"an Idempotency-Key that begins with '{own}' is the service's own; choose another"
        raise failed("invalid", words, words)
    return key


def _content_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _is_json(kind: str) -> bool:
    return kind == "application/json" or kind.endswith("+json")
