"""The rules: which rollouts a signal concerns, and what is asked of each.

One rule: pure, and the command ids are made from what the signal means, not from how it came: a deploy that is told by
CloudEvent, over NATS and by GitHub alike has one id, so the log has one record of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple, assert_never

from msgspec.structs import replace

from events.facts import Evidence, Phase
from events.plan.schema import GithubDeployment
from events.signals import Deployed, NoRule, Origin, Shown, Signal, TakenBack, Trouble
from services.intake.cloudevents import instant, not_after
from services.intake.standing import Running, Standing
from services.rollout import commands as c
from services.rollout.state import ACTIVE

OPEN: tuple[Phase, ...] = ("planned", *ACTIVE, "rolled_back")
LONGEST = 1000  # characters of a text that goes into the log


class Order(NamedTuple):
    """One command to be sent."""

    rollout: str
    command_id: str
    command: c.Command


class Orders(NamedTuple):
    """What follows from a signal; `why` when nothing does."""

    orders: tuple[Order, ...]
    why: str = ""


def orders(signal: Signal, standings: Mapping[str, Standing], received: datetime) -> Orders:
    """The commands that a signal calls for, one a rollout that it concerns. Nothing happens after we hear of it: where
    the sender's time is after `received`, `received` is the time."""
    signal = replace(signal, origin=replace(signal.origin, time=not_after(signal.origin.time, received)))
    match signal:
        case NoRule():
            return Orders((), signal.why)
        case Deployed():
            return _deployed(signal, standings)
        case TakenBack():
            return _taken_back(signal, standings, received)
        case Trouble():
            return _trouble(signal, standings)
        case Shown():
            return _shown(signal, standings)
    assert_never(signal)


def says(signal: Signal) -> str:
    """What a signal says, in a few words."""
    match signal:
        case NoRule():
            return signal.origin.type
        case Deployed():
            return f"{signal.service or signal.repository} {signal.version} is deployed in {signal.environment}"
        case TakenBack():
            done = "removed from" if signal.removed else "rolled back in"
            return f"{signal.service} was {done} {signal.environment}"
        case Trouble():
            return f"{signal.kind} {signal.about}{f': {signal.text}' if signal.text else ''}"
        case Shown():
            return f"{signal.kind} {signal.about}{f': {signal.outcome}' if signal.outcome else ''}"
    assert_never(signal)


# -- deploys


def _deployed(signal: Deployed, standings: Mapping[str, Standing]) -> Orders:
    found: list[Order] = []
    why: list[str] = []
    for rollout, service in _deploys_of(signal, standings):
        standing = standings[rollout]
        if standing.phase not in OPEN:
            why.append(f"rollout {rollout} is {standing.phase}: its deploys are over")
        elif late := _late(signal.origin, signal.version, standing.running.get(service)):
            if (service, signal.version) not in standing.told:
                why.append(f"rollout {rollout}: told late, {late}")
            else:
                found.append(_report(signal, rollout, service, standing))
        else:
            found.append(_report(signal, rollout, service, standing))
    place = cut(f"{signal.service or signal.repository} in {signal.environment}")
    return _or(found, why, f"matches no rollout: no plan deploys {place}")


def _report(signal: Deployed, rollout: str, service: str, standing: Standing) -> Order:
    """By its natural key; with the signal's identity where the same version counts again."""
    natural = _hash(service, signal.environment, signal.version)
    again = standing.phase == "rolled_back" or _returned(signal, service, standing)
    command_id = f"ci:deploy:{natural}:{identity(signal.origin)}" if again else f"ci:deploy:{natural}"
    command = c.ReportDeploy(
        service=service,
        version=signal.version,
        environment=standing.plan.environment,
        evidence=(_evidence(signal.origin),),
    )
    return Order(rollout, command_id, command)


def _returned(signal: Deployed, service: str, standing: Standing) -> bool:
    """Whether an earlier version was deployed again after the one that runs now; only times can tell."""
    running = standing.running.get(service)
    if running is None or running.version == signal.version or (service, signal.version) not in standing.told:
        return False
    now, then = instant(signal.origin.time), instant(running.time)
    return now is not None and then is not None and now > then


def _late(origin: Origin, version: str, running: Running | None) -> str:
    """In words, if what runs now was deployed after what this signal tells of; "" if not, or nobody can say."""
    if running is None or running.version == version:
        return ""
    told, then = instant(origin.time), instant(running.time)
    late = told is not None and then is not None and told < then
    return f"{running.version} was deployed after it" if late else ""


def _runs_since_after(moment: datetime, running: Running | None) -> bool:
    """Whether it is said to run since after `moment`: its time proves nothing then, and a rollback counts in doubt."""
    then = instant(running.time) if running is not None else None
    return then is not None and then > moment


def _deploys_of(signal: Deployed, standings: Mapping[str, Standing]) -> list[tuple[str, str]]:
    """The rollouts whose plan has this deploy, and the plan's own name of the service."""
    found = []
    for rollout, standing in standings.items():
        if signal.rollout and signal.rollout != rollout:
            continue
        plan = standing.plan
        for service in plan.deploy.services:
            if signal.repository:
                github = plan.deploy.github.get(service) or GithubDeployment(repository=service)
                right = (
                    _same_repository(github.repository, signal.repository)
                    and signal.environment == (github.environment or plan.environment)
                    and (not signal.task or signal.task == github.task)
                )
            else:
                right = _names(signal.service, service) and signal.environment == plan.environment
            if right:
                found.append((rollout, service))
    return found


def _taken_back(signal: TakenBack, standings: Mapping[str, Standing], received: datetime) -> Orders:
    found: list[Order] = []
    why: list[str] = []
    for rollout in _concerned(signal, standings, signal.service, signal.environment):
        standing = standings[rollout]
        running = standing.running.get(_plans_name(signal.service, standing))
        if standing.phase not in (*ACTIVE, "rolled_back"):
            why.append(f"rollout {rollout} is {standing.phase}: nothing to roll back")
        elif (late := _late(signal.origin, "", running)) and not _runs_since_after(received, running):
            why.append(f"rollout {rollout}: told late, {late}")
        else:
            command = c.RollBack(reason=cut(f"{says(signal)}"), evidence=(_evidence(signal.origin),))
            found.append(Order(rollout, f"ci:back:{identity(signal.origin)}", command))
    return _or(found, why, f"matches no rollout: no plan deploys {signal.service} in {signal.environment}")


# -- trouble and evidence


def _trouble(signal: Trouble, standings: Mapping[str, Standing]) -> Orders:
    found: list[Order] = []
    why: list[str] = []
    for rollout in _concerned(signal, standings, signal.service, signal.environment):
        standing = standings[rollout]
        if standing.phase not in ACTIVE:
            why.append(f"rollout {rollout} is {standing.phase}: nothing to halt")
        elif (signal.of, signal.about) in standing.over:
            why.append(f"rollout {rollout}: {signal.kind} {signal.about} is resolved already")
        else:
            command = c.Halt(reason=cut(says(signal)), evidence=(_evidence(signal.origin),))
            found.append(Order(rollout, f"ci:trouble:{_hash(signal.of, signal.about)}", command))
    return _or(found, why, f"matches no rollout: {_place(signal, signal.service)}")


def _shown(signal: Shown, standings: Mapping[str, Standing]) -> Orders:
    command = c.RecordEvidence(
        kind=signal.kind,
        about=cut(signal.about),
        source=cut(signal.of or signal.origin.source),
        outcome=cut(signal.outcome),
        text=cut(signal.text),
        link=cut(signal.origin.link),
        chain=cut(signal.origin.chain),
        evidence=(_evidence(signal.origin),),
    )
    concerned = _concerned(signal, standings, signal.service, signal.environment, signal.repository)
    open_ones = [rollout for rollout in concerned if standings[rollout].phase in OPEN]
    found = [Order(rollout, f"ci:evidence:{identity(signal.origin)}", command) for rollout in open_ones]
    why = [f"rollout {rollout} is {standings[rollout].phase}" for rollout in concerned if rollout not in open_ones]
    place = _place(signal, signal.service or signal.repository)
    return _or(found, why, f"matches no rollout: {place}, and its chain is unknown")


def _concerned(
    signal: Signal, standings: Mapping[str, Standing], service: str, environment: str, repository: str = ""
) -> list[str]:
    """By the rollout it names; else by service or repository in the environment; else by chain or environment alone.

    What is said of another environment is not about the rollout that it names, nor is the end of another service.
    """
    chain = signal.origin.chain
    found = []
    for rollout, standing in standings.items():
        plan = standing.plan
        places = (plan.environment, *(each.environment for each in plan.deploy.github.values()))
        here = not environment or environment in places
        if signal.rollout:
            ends = isinstance(signal, TakenBack)
            names = signal.rollout == rollout and (not ends or bool(_plans_name(service, standing)))
        elif repository:
            names = any(_is_repository(repository, each, standing) for each in plan.deploy.services)
        elif service:
            names = bool(_plans_name(service, standing))
        else:
            names = bool(environment)
        by_chain = isinstance(signal, Shown) and not signal.rollout and bool(chain) and chain in standing.chains
        if (here and names) or by_chain:
            found.append(rollout)
    return found


def _plans_name(service: str, standing: Standing) -> str:
    """What the plan calls this service, "" if it has no such one."""
    return next((each for each in standing.plan.deploy.services if _names(service, each)), "")


def _names(said: str, service: str) -> bool:
    """Whether what was said ("vets-api", "service/vets-api") names the plan's service."""
    return said == service or said.rsplit("/", 1)[-1] == service


def _is_repository(repository: str, service: str, standing: Standing) -> bool:
    github = standing.plan.deploy.github.get(service) or GithubDeployment(repository=service)
    return _same_repository(github.repository, repository)


def _same_repository(planned: str, told: str) -> bool:
    """GitHub's names know no case; a plan may leave out the owner."""
    planned, told = planned.lower(), told.lower()
    return planned == told or ("/" not in planned and told.rsplit("/", 1)[-1] == planned)


# -- words and ids


def identity(origin: Origin) -> str:
    """(source, id) as a short token."""
    return _hash(origin.source, origin.id)


def _hash(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode(errors="surrogatepass")).hexdigest()[:32]


def _evidence(origin: Origin) -> Evidence:
    """The signal as a record names it; the signal itself stays in its own stream."""
    kind = "alert" if origin.type.startswith("alert.") else "ci"
    text = cut(f"{origin.type} {origin.id}")
    source = cut(origin.link or origin.source)
    return Evidence(kind, source, text, sha256=origin.sha256, time=cut(origin.time), chain=cut(origin.chain))


def cut(text: str) -> str:
    """As much of a text as is kept."""
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."


def _place(signal: Trouble | Shown, of: str) -> str:
    place = " in ".join(part for part in (of, signal.environment) if part)
    if signal.rollout:
        return f"there is no rollout {signal.rollout}{f' with {place}' if place else ''}"
    return f"no plan has {place}" if place else "it names no rollout, service or environment"


def _or(found: list[Order], why: list[str], nothing: str) -> Orders:
    return Orders(tuple(found), "" if found else "; ".join(why) or nothing)
