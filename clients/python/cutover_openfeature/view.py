"""Every toggle at one moment: what is answered from one view cannot be a mixture.

One rule: a view never changes. What is known next is another view, put in its place by one assignment.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TypeVar

from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import ErrorCode, FlagNotFoundError, InvalidContextError
from openfeature.flag_evaluation import FlagResolutionDetails, Reason

from cutover_openfeature.group import Group

UNFIT = (AttributeError, TypeError, UnicodeEncodeError)
"""What answering raises for a user or attributes that are none: asking beforehand would cost everybody."""

NO_TEXT = "the user (the targeting key) is not text in valid Unicode, or the attributes are no mapping"
NO_ATTRIBUTES: Mapping[str, object] = MappingProxyType({})

V = TypeVar("V")


class View:
    """Answers by one state of the log and one time. Any thread may use it, for as long as it likes."""

    __slots__ = ("groups", "revision", "stale_since", "until")

    def __init__(self, groups: Mapping[str, Group], revision: int, stale_since: str | None) -> None:
        """`groups` by rollout; `stale_since`: since when (ISO 8601) nothing is known to be current; None: it is."""
        self.groups = {key: group for _, group in sorted(groups.items()) for key in group.snapshot.toggles}
        self.revision = revision
        self.stale_since = stale_since
        self.until = min((group.until for group in groups.values() if group.until is not None), default=None)

    @property
    def keys(self) -> Sequence[str]:
        """Every toggle that is answered for."""
        return tuple(self.groups)

    def is_on(self, key: str, user: str | None = None, attributes: Mapping[str, object] = NO_ATTRIBUTES) -> bool:
        """Whether this toggle, and with it its whole group, is on for the user. Raises FlagNotFoundError and
        InvalidContextError."""
        try:
            group = self.groups[key]
        except KeyError:
            raise unknown(key) from None
        try:
            return group.answer(user, attributes).value
        except UNFIT as error:
            raise InvalidContextError(NO_TEXT) from error

    def details(self, key: str, default: bool, context: EvaluationContext | None = None) -> FlagResolutionDetails[bool]:
        """The same with reason, variant and metadata. The default comes only with an error."""
        group = self.groups.get(key)
        if group is None:
            return failed(default, ErrorCode.FLAG_NOT_FOUND, f"no rollout answers for the toggle '{key}'")
        try:
            if context is None:
                value, reason, variant = group.answer(None, NO_ATTRIBUTES)
            else:
                value, reason, variant = group.answer(context.targeting_key, context.attributes)
        except UNFIT:
            return failed(default, ErrorCode.INVALID_CONTEXT, NO_TEXT)
        stale = self.stale_since or group.stuck
        if stale is not None:
            return FlagResolutionDetails(
                value, None, None, Reason.STALE, variant, {**group.metadata, "stale_since": stale}
            )
        return FlagResolutionDetails(value, None, None, reason, variant, group.metadata.copy())

    def of_another_type(self, key: str, default: V) -> FlagResolutionDetails[V]:
        """Toggles are boolean: whoever asks for something else gets the default and an error."""
        if key not in self.groups:
            return failed(default, ErrorCode.FLAG_NOT_FOUND, f"no rollout answers for the toggle '{key}'")
        return failed(default, ErrorCode.TYPE_MISMATCH, f"the toggle '{key}' is boolean")

    def changed_since(self, before: View) -> list[str]:
        """The toggles for which somebody's answer may differ from the earlier view's."""
        return sorted(
            key
            for key in {*self.groups, *before.groups}
            if (mine := self.groups.get(key)) is None
            or (theirs := before.groups.get(key)) is None
            or not (mine is theirs or mine.answers_like(theirs))
        )


def unknown(key: str) -> FlagNotFoundError:
    """No rollout stands behind this toggle."""
    return FlagNotFoundError(f"no rollout answers for the toggle '{key}'")


def failed(default: V, code: ErrorCode, words: str) -> FlagResolutionDetails[V]:
    """The default, and what went wrong."""
    return FlagResolutionDetails(default, code, words, Reason.ERROR)
