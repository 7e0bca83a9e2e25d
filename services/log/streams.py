"""The streams as they must be, made once and checked ever after.

One rule: an existing stream is never changed. `deny_delete` cannot be taken back, but `update_stream(max_msgs=1)`
trims history and `delete_stream` works: what differs from here is reported, and only NATS permissions can prevent it.
"""

from __future__ import annotations

import asyncio
from dataclasses import asdict, fields
from enum import Enum
from typing import Any

from nats import errors
from nats.js import JetStreamContext, api
from nats.js.errors import APIError, NotFoundError, ServiceUnavailableError

from services.log.protocol import Unavailable

ROLLOUTS = "ROLLOUTS"
ATTEMPTS = "ATTEMPTS"
FLAGS = "flags"  # the bucket; its stream is KV_flags
SIGNALS = "SIGNALS"
OUTCOMES = "OUTCOMES"
READINGS = "READINGS"
CHECKPOINTS = "CHECKPOINTS"
LARGEST = 1024 * 1024  # bytes of one message, headers included
DUPLICATES = 120.0  # seconds; only a shortcut: the truth is the bytes in the log
_ALREADY_THERE = 10058
_NO_PEERS_YET = 10005
_YEAR = 365 * 24 * 3600.0


def wanted(replicas: int = 1) -> tuple[api.StreamConfig, ...]:
    """The configuration of every stream, the log first."""
    return (
        _rollouts(replicas),
        _attempts(replicas),
        _flags(replicas),
        _signals(replicas),
        _outcomes(replicas),
        _readings(replicas),
        _checkpoints(replicas),
    )


def _rollouts(replicas: int) -> api.StreamConfig:
    """The log: nothing in it ends, by age or by size, and nothing may be deleted."""
    return api.StreamConfig(
        name=ROLLOUTS,
        subjects=["rollouts.log.>"],
        retention=api.RetentionPolicy.LIMITS,
        storage=api.StorageType.FILE,
        discard=api.DiscardPolicy.NEW,
        deny_delete=True,
        deny_purge=True,
        compression=api.StoreCompression.S2,
        max_msg_size=LARGEST,
        max_msgs=-1,
        max_bytes=-1,
        max_age=0,
        max_msgs_per_subject=-1,
        max_consumers=10_000,  # 2.15 would allow 1,000, and every watcher is one
        num_replicas=replicas,
        duplicate_window=DUPLICATES,
        allow_direct=False,  # a direct get may be answered by a replica that lags
    )


def _attempts(replicas: int) -> api.StreamConfig:
    """Refused commands: a year, bounded, the oldest go first."""
    return api.StreamConfig(
        name=ATTEMPTS,
        subjects=["rollouts.attempts.>"],
        retention=api.RetentionPolicy.LIMITS,
        storage=api.StorageType.FILE,
        discard=api.DiscardPolicy.OLD,
        compression=api.StoreCompression.S2,
        max_msg_size=LARGEST,
        max_msgs=-1,
        max_bytes=64 * 1024 * 1024,
        max_age=_YEAR,
        max_msgs_per_subject=-1,
        max_consumers=1_000,
        num_replicas=replicas,
        duplicate_window=DUPLICATES,
        allow_direct=False,
    )


def _flags(replicas: int) -> api.StreamConfig:
    """The bucket `flags`, as nats-py would make it with history 1, but for the number of watchers."""
    return api.StreamConfig(
        name=f"KV_{FLAGS}",
        subjects=[f"$KV.{FLAGS}.>"],
        retention=api.RetentionPolicy.LIMITS,
        storage=api.StorageType.FILE,
        discard=api.DiscardPolicy.NEW,
        deny_delete=True,
        allow_rollup_hdrs=True,
        max_msg_size=LARGEST,
        max_msgs=-1,
        max_bytes=-1,
        max_age=0,
        max_msgs_per_subject=1,
        max_consumers=10_000,
        num_replicas=replicas,
        duplicate_window=DUPLICATES,
        allow_direct=False,
    )


def _signals(replicas: int) -> api.StreamConfig:
    """What comes from outside, as it came: a year, bounded. 512 KiB a signal, and room for its headers."""
    return _bounded("SIGNALS", "rollouts.signals.>", 128 * 1024 * 1024, 640 * 1024, replicas)


def _outcomes(replicas: int) -> api.StreamConfig:
    """What each signal led to: a year, bounded."""
    return _bounded("OUTCOMES", "rollouts.outcomes.>", 64 * 1024 * 1024, LARGEST, replicas)


def _readings(replicas: int) -> api.StreamConfig:
    """What was measured and published: 13 months, bounded, so that a year can be compared with the one before."""
    config = _bounded("READINGS", "rollouts.readings.>", 256 * 1024 * 1024, 64 * 1024, replicas)
    config.max_age = 13 * _YEAR / 12
    return config


def _checkpoints(replicas: int) -> api.StreamConfig:
    """What the notary signed: small, and as lasting as the log."""
    return api.StreamConfig(
        name=CHECKPOINTS,
        subjects=["rollouts.checkpoints"],
        retention=api.RetentionPolicy.LIMITS,
        storage=api.StorageType.FILE,
        discard=api.DiscardPolicy.NEW,
        deny_delete=True,
        deny_purge=True,
        compression=api.StoreCompression.S2,
        max_msg_size=16 * 1024,
        max_msgs=-1,
        max_bytes=-1,
        max_age=0,
        max_msgs_per_subject=-1,
        max_consumers=1_000,
        num_replicas=replicas,
        duplicate_window=DUPLICATES,
        allow_direct=False,
    )


def _bounded(name: str, subject: str, size: int, largest: int, replicas: int) -> api.StreamConfig:
    """A year, and no more bytes than a small disk has to spare; the oldest go first."""
    return api.StreamConfig(
        name=name,
        subjects=[subject],
        retention=api.RetentionPolicy.LIMITS,
        storage=api.StorageType.FILE,
        discard=api.DiscardPolicy.OLD,
        compression=api.StoreCompression.S2,
        max_msg_size=largest,
        max_msgs=-1,
        max_bytes=size,
        max_age=_YEAR,
        max_msgs_per_subject=-1,
        max_consumers=1_000,
        num_replicas=replicas,
        duplicate_window=DUPLICATES,
        allow_direct=False,
    )


async def create_streams(js: JetStreamContext, replicas: int = 1, limit: float = 30.0) -> None:
    """Make what is missing. What exists stays as it is, differences are `problems`' to tell.

    A cluster that has no leader yet is waited for, `limit` seconds in all. Raises Unavailable, naming the stream that
    could not be made and why.
    """
    end = asyncio.get_running_loop().time() + limit
    for config in wanted(replicas):
        while why := await _make(js, config):
            if asyncio.get_running_loop().time() > end:
                raise Unavailable(f"after {limit:g} s there is no stream {config.name}: {why}")
            await asyncio.sleep(0.2)


async def _make(js: JetStreamContext, config: api.StreamConfig) -> str:
    """Make the stream unless it is there. "": it is there now; otherwise why it may come later."""
    try:
        await js.stream_info(str(config.name))
    except NotFoundError:
        return await _add(js, config)
    except (errors.Error, OSError) as error:
        return _may_pass(config, error)
    return ""


async def _add(js: JetStreamContext, config: api.StreamConfig) -> str:
    try:
        await js.add_stream(config)
    except (errors.Error, OSError) as error:
        if getattr(error, "err_code", 0) == _ALREADY_THERE:  # somebody else made it meanwhile, otherwise
            return ""
        return _may_pass(config, error)
    return ""


def _may_pass(config: api.StreamConfig, error: Exception) -> str:
    """Why it failed, if trying again may help; Unavailable if the server said no."""
    lasting = isinstance(error, APIError) and not isinstance(error, ServiceUnavailableError)
    if lasting and getattr(error, "err_code", 0) != _NO_PEERS_YET:
        raise Unavailable(f"stream {config.name} cannot be made: {error}") from error
    return str(error) or type(error).__name__


async def wait_for_streams(js: JetStreamContext, limit: float = 30.0) -> None:
    """Return when all streams exist; Unavailable after `limit` seconds, naming what is missing."""
    end = asyncio.get_running_loop().time() + limit
    while missing := await _missing(js):
        if asyncio.get_running_loop().time() > end:
            raise Unavailable(f"after {limit:g} s there is no {missing}; `cutover init` or `cutover up` makes it")
        await asyncio.sleep(0.1)


async def _missing(js: JetStreamContext) -> str:
    for config in wanted():
        try:
            await js.stream_info(str(config.name))
        except NotFoundError:
            return f"stream {config.name}"
        except (errors.Error, OSError):
            return f"answer from JetStream about stream {config.name}"
    return ""


async def problems(js: JetStreamContext, replicas: int | None = None) -> list[str]:
    """What is wrong: a missing stream, configuration drift, the log's first revision not 1, gaps in it.

    `replicas` None: any number is right. Raises Unavailable when nobody answers.
    """
    found: list[str] = []
    for config in wanted(replicas or 1):
        try:
            info = await js.stream_info(str(config.name))
        except NotFoundError:
            found.append(f"stream {config.name} is missing")
            continue
        except (errors.Error, OSError) as error:
            raise Unavailable(f"nobody answers for stream {config.name}: {error}") from error
        found += drift(config, info.config, any_replicas=replicas is None)
        if config.name == ROLLOUTS:
            found += _holes(info.state)
    return found


def drift(expected: api.StreamConfig, found: api.StreamConfig, *, any_replicas: bool = True) -> list[str]:
    """Every field that differs, as `stream ROLLOUTS: max_msgs is 1, expected none`."""
    ignored = {"name", "description", "metadata", "placement", "template_owner"}
    if any_replicas:
        ignored.add("num_replicas")
    names = [field.name for field in fields(expected) if field.name not in ignored]
    pairs = [(name, _plain(getattr(expected, name)), _plain(getattr(found, name))) for name in names]
    return [
        f"stream {expected.name}: {name} is {_word(is_)}, expected {_word(should)}"
        for name, should, is_ in pairs
        if should != is_
    ]


def _plain(value: Any) -> Any:
    """A field's value with all ways to say "none" made one, and enumerations as their text."""
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, api.Base):  # the server may answer an empty structure for none
        value = {name: inner for name, inner in asdict(value).items() if _plain(inner) is not None}
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return None if value in (None, "", -1, 0, False, [], {}, "none", "default") else value


def _word(value: Any) -> str:
    return "none" if value is None else str(value)


def _holes(state: api.StreamState) -> list[str]:
    first, last, messages = int(state.first_seq or 0), int(state.last_seq or 0), int(state.messages or 0)
    if last == 0:
        return []
    found = []
    if first != 1:
        found.append(f"stream {ROLLOUTS}: the first revision is {first}, expected 1: history was cut off")
    if messages != last - first + 1 or state.num_deleted:
        missing = max(last - first + 1 - messages, int(state.num_deleted or 0))
        found.append(
            f"stream {ROLLOUTS}: {messages} records between revisions {first} and {last}, "
            f"expected {last - first + 1}: {missing} are missing"
        )
    return found
