"""The OpenFeature provider: evaluates in process, says READY, STALE and CONFIGURATION_CHANGED.

One rule: evaluating does no I/O, and takes no lock but at a window's edge: it takes one view and answers from that.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, TypeVar

from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import ErrorCode, InvalidContextError, ProviderNotReadyError
from openfeature.flag_evaluation import FlagResolutionDetails, FlagValueType
from openfeature.provider import AbstractProvider, Metadata

from cutover_openfeature.source import Source
from cutover_openfeature.view import NO_ATTRIBUTES, NO_TEXT, UNFIT, View, failed, unknown

V = TypeVar("V")
Context = EvaluationContext | None
Object = Sequence[FlagValueType] | Mapping[str, FlagValueType]

COLD = "no flags are known yet: nothing has been read from the bucket, nothing is kept on disk"
_METADATA = Metadata(name="Cutover")


class CutoverProvider(AbstractProvider):
    """Give it to `openfeature.api.set_provider`, or call `initialize()` and ask it directly."""

    def __init__(
        self,
        servers: str = "nats://127.0.0.1:4222",
        *,
        tester_key: bytes | str | None = None,
        keep_in: Path | str | None = None,
        wait: float = 5.0,
        bucket: str = "flags",
        wall: Callable[[], float] = time.time,
        **nats: Any,
    ) -> None:
        """`servers`: `nats://user:password@host:port`, several separated by commas.

        `tester_key`: 32 bytes, or 64 hexadecimal digits; without it testers are not seen. `keep_in`: a file for
        the last known state. `wait`: seconds that a start waits for the bucket. `nats` goes to nats.connect: `tls`,
        `user_credentials` and the like. Raises ValueError for a key of another length, where no server is named, and
        for an option that `nats.connect` does not have or that the watch depends on.
        """
        self._source = Source(
            servers, _key(tester_key), Path(keep_in) if keep_in else None, bucket, wall, nats, self.emit
        )
        self._wait = wait
        self._wall = wall
        self._known = self._source.known
        self._pinned: ContextVar[View | None] = ContextVar("cutover_pinned", default=None)

    # -- asked directly

    def is_on(self, key: str, user: str | None = None, attributes: Mapping[str, object] = NO_ATTRIBUTES) -> bool:
        """Whether the toggle is on for the user. Raises FlagNotFoundError, InvalidContextError and
        ProviderNotReadyError."""
        view = self._pinned.get() or self._known.view or self.view()
        try:
            group = view.groups[key]
        except KeyError:
            raise unknown(key) from None
        if group.until is not None and group.until <= self._wall():
            return self.view().is_on(key, user, attributes)
        try:
            return group.answer(user, attributes).value
        except UNFIT as error:
            raise InvalidContextError(NO_TEXT) from error

    def view(self) -> View:
        """All toggles as they are now: the pinned view, where one is. Raises ProviderNotReadyError."""
        pinned = self._pinned.get()
        if pinned is not None:
            return pinned
        view = self._known.view
        if view is not None and view.until is not None and view.until <= self._wall():
            view = self._known.turn()
        if view is None:
            raise ProviderNotReadyError(COLD)
        return view

    @contextmanager
    def pinned(self) -> Iterator[View]:
        """Within it this thread or task is answered from one view (one state, one time), through the SDK too."""
        token = self._pinned.set(self.view())
        try:
            yield self.view()
        finally:
            self._pinned.reset(token)

    def wait_for(self, revision: int, seconds: float = 5.0) -> bool:
        """Whether everything up to this revision is known here, or comes to be within so many seconds."""
        return self._known.wait(lambda view: view.revision >= revision, seconds)

    # -- OpenFeature's side of it

    def initialize(self, evaluation_context: EvaluationContext = EvaluationContext()) -> None:  # noqa: B008 (read only)
        """Begin to watch; return when the flags are known, or are stale but kept. Raises ProviderNotReadyError after
        `wait` seconds without any; the watch goes on all the same, and READY follows."""
        if not self._source.start(self._wait):
            raise ProviderNotReadyError(COLD)

    def shutdown(self) -> None:
        """Hang up, and keep what is known."""
        self._source.stop()

    def get_metadata(self) -> Metadata:
        return _METADATA

    def resolve_boolean_details(
        self, flag_key: str, default_value: bool, evaluation_context: Context = None
    ) -> FlagResolutionDetails[bool]:
        try:
            view = self.view()
        except ProviderNotReadyError as error:
            return failed(default_value, ErrorCode.PROVIDER_NOT_READY, str(error.error_message))
        return view.details(flag_key, default_value, evaluation_context)

    def resolve_string_details(
        self, flag_key: str, default_value: str, evaluation_context: Context = None
    ) -> FlagResolutionDetails[str]:
        return self._not_boolean(flag_key, default_value)

    def resolve_integer_details(
        self, flag_key: str, default_value: int, evaluation_context: Context = None
    ) -> FlagResolutionDetails[int]:
        return self._not_boolean(flag_key, default_value)

    def resolve_float_details(
        self, flag_key: str, default_value: float, evaluation_context: Context = None
    ) -> FlagResolutionDetails[float]:
        return self._not_boolean(flag_key, default_value)

    def resolve_object_details(
        self, flag_key: str, default_value: Object, evaluation_context: Context = None
    ) -> FlagResolutionDetails[Object]:
        return self._not_boolean(flag_key, default_value)

    def _not_boolean(self, key: str, default: V) -> FlagResolutionDetails[V]:
        try:
            return self.view().of_another_type(key, default)
        except ProviderNotReadyError as error:
            return failed(default, ErrorCode.PROVIDER_NOT_READY, str(error.error_message))


def _key(given: bytes | str | None) -> bytes | None:
    key = bytes.fromhex(given) if isinstance(given, str) else given
    if key is not None and len(key) != 32:
        raise ValueError(f"a tester key is 32 bytes long, or 64 hexadecimal digits; found {len(key)} bytes")
    return key
