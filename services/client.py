"""The HTTP API of a running Cutover, as a person's program asks it.

One rule: a command carries its id from the first try on, so asking again after a lost answer is always safe.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any, NamedTuple, TypeAlias
from urllib.parse import quote
from uuid import uuid4

import httpx
import msgspec

from events.codec import NOT_JSON
from services import event_stream

Json: TypeAlias = dict[str, Any]
TIMEOUT = httpx.Timeout(30.0, connect=3.0)
LISTENING = httpx.Timeout(60.0, connect=3.0)  # a stream that is silent for longer is lost: it beats every 15 s
TRIES = 3
PAGE = 500
UNDECIDED = (httpx.ReadError, httpx.ReadTimeout, httpx.RemoteProtocolError, httpx.WriteError)
"""The request may have arrived although no answer came."""


class CannotAsk(Exception):
    """The service was not reached, or does not let this token in. `hints` say what to do about it."""

    def __init__(self, text: str, *hints: str, problem: Json | None = None) -> None:
        super().__init__(text)
        self.hints = hints
        self.problem: Json = problem or {"title": text}


class Refused(Exception):
    """The service understood and said no. `reasons` are all that is missing, in words."""

    def __init__(self, problem: Json) -> None:
        super().__init__(str(problem.get("title", "refused")))
        self.problem = problem
        self.detail = str(problem.get("detail", ""))
        self.reasons = tuple(str(reason) for reason in problem.get("reasons", ()))


class Heard(NamedTuple):
    """A record as a CloudEvent and its revision; an empty event says only that everything up to there was told."""

    revision: int
    event: Json


class Client:
    """One service at `url`, asked with one token. Answers are the API's JSON, as dictionaries."""

    def __init__(self, url: str, token: str = "", *, timeout: httpx.Timeout = TIMEOUT) -> None:
        self.url = url.rstrip("/")
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._http = httpx.Client(base_url=self.url, headers=headers, timeout=timeout, trust_env=False)
        self._has_token = bool(token)

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def command(self, rollout: str, command: Json, command_id: str = "") -> Json:
        """Send one command; the same `command_id` again gets the first answer."""
        headers = {"Idempotency-Key": command_id or uuid4().hex}
        return self._ask("POST", f"{_path(rollout)}/commands", json=command, headers=headers)

    def rollouts(self, *, as_of: str = "") -> list[Json]:
        """Every rollout, one line each; as they were at an instant or a revision."""
        found = self._ask("GET", "/v1/rollouts", params=_as_of(as_of))
        return list(found.get("items", ()))

    def status(self, rollout: str, *, at_least: int = 0, as_of: str = "") -> Json:
        """Where a rollout stands, as of revision `at_least` or later; or stood, at an instant or a revision."""
        return self._ask("GET", _path(rollout), params=_at_least(at_least) | _as_of(as_of))

    def plan(self, rollout: str) -> Json:
        """The rollout's plan as it now stands, in the stored form."""
        return self._ask("GET", f"{_path(rollout)}/plan")

    def explain(self, toggle: str, user: str = "", at: str = "", attributes: dict[str, str] | None = None) -> Json:
        """What a user got for a toggle at an instant or a revision ("": now), and which record made it so."""
        asked = {"toggle": toggle, "user": user, "at": at, "attributes": attributes or {}}
        return self._ask("POST", "/v1/explain", json=asked)

    def flags(self, rollout: str, user: str = "", *, at_least: int = 0, as_of: str = "") -> Json:
        """The group's toggles for one user; for "" as an unknown visitor sees them; or saw them, as of then."""
        params = _at_least(at_least) | _as_of(as_of) | ({"user": user} if user else {})
        return self._ask("GET", f"{_path(rollout)}/flags", params=params)

    def trail(
        self,
        rollout: str = "",
        *,
        newest_first: bool = False,
        at_least: int = 0,
        filters: Mapping[str, Any] = MappingProxyType({}),
    ) -> Iterator[Json]:
        """Every line of a rollout's trail ("": of all) that passes the filters, fetched page by page as it is read."""
        asked = {**filters, **_at_least(at_least), "limit": PAGE, "order": "newest" if newest_first else "oldest"}
        while True:
            page = self._ask("GET", _trail(rollout), params=asked)
            yield from page["items"]
            if not page.get("next"):
                return
            asked = asked | {"after": page["next"]}

    def export(
        self, rollout: str, form: str, *, at_least: int = 0, filters: Mapping[str, Any] = MappingProxyType({})
    ) -> Iterator[bytes]:
        """The trail as a file ("csv", "jsonl", "cloudevents"), in pieces. CannotAsk when it breaks off."""
        asked = {**filters, **_at_least(at_least), "format": form}
        with self._reachable(""), self._http.stream("GET", _trail(rollout), params=asked) as response:
            if not response.is_success:
                response.read()
                raise self._problem(response)
            try:
                yield from response.iter_bytes()
            except httpx.TransportError as error:
                raise CannotAsk(f"The export broke off and is not whole: {error or type(error).__name__}") from error

    def events(
        self, rollout: str = "", *, after: int | None = None, follow: bool = False
    ) -> Iterator[tuple[int, Json]]:
        """Records as CloudEvents above `after` (None: from now on), each with its revision; an empty one: only that.

        With `follow` for ever: when the connection breaks, CannotAsk. Go on with the last revision.
        """
        path = f"{_path(rollout)}/events" if rollout else "/v1/events"
        asked = {"follow": str(follow).lower()} | ({} if after is None else {"after": str(after)})
        with self._reachable(""), self._http.stream("GET", path, params=asked, timeout=LISTENING) as response:
            if not response.is_success:
                response.read()
                raise self._problem(response)
            for told in event_stream.read(response.iter_bytes()):
                yield Heard(int(told.id), msgspec.json.decode(told.data) if told.data else {})

    def announced(self, rollout: str, revision: int) -> list[Json]:
        """What became of telling people of this revision, as far as the log says; with the text where it was not."""
        asked = {"fact": "announced", "order": "newest", "limit": PAGE}
        items = self._ask("GET", f"{_path(rollout)}/audit", params=asked)["items"]
        return [item for item in reversed(items) if item["data"]["cause"].startswith(f"{rollout}/{revision}/")]

    def signals(self, last: int = 20) -> Json:
        """The last signals, what each led to, and how many wait."""
        return self._ask("GET", "/v1/signals", params={"last": last})

    def outcome(self, source: str, id_: str) -> Json | None:
        """What the signal with this identity led to; None while it waits."""
        found = self._ask("GET", "/v1/signals", params={"source": source, "id": id_})["items"]
        return dict(found[0]) if found else None

    def send_event(self, event: Json) -> Json:
        """Send one CloudEvent; the same source and id again has no second effect. The answer names its number."""
        headers = {"Content-Type": "application/cloudevents+json"}
        taken = self._ask("POST", "/v1/signals", content=msgspec.json.encode(event), headers=headers)
        return dict(taken["signals"][0])

    def sessions(self, rollout: str, *, at_least: int = 0) -> list[Json]:
        """Testers' sessions with what was said in them in clear; for those who may read it."""
        return list(self._ask("GET", f"{_path(rollout)}/sessions", params=_at_least(at_least))["items"])

    def kpis(self, rollout: str, *, at_least: int = 0, as_of: str = "") -> Json:
        """What was measured and recorded, beside its target and what its snapshot froze."""
        return self._ask("GET", f"{_path(rollout)}/kpis", params=_at_least(at_least) | _as_of(as_of))

    def report(self, rollout: str, form: str, *, at_least: int = 0, as_of: str = "") -> str:
        """The release plan filled in, as "md" or "html"."""
        asked = {"format": form} | _at_least(at_least) | _as_of(as_of)
        return self._asked("GET", f"{_path(rollout)}/report", params=asked).text

    def erase_tester(self, tester: str) -> Json:
        """Forget a tester. Who it is travels in the body: addresses are written down on the way."""
        return self._ask("DELETE", "/v1/testers", json={"tester": tester})

    def add_token(self, name: str, role: str, titles: tuple[str, ...]) -> Json:
        """A new token; the answer holds it in clear, once."""
        return self._ask("POST", "/v1/tokens", json={"name": name, "role": role, "titles": list(titles)})

    def tokens(self) -> list[Json]:
        """Who holds a token, with role and titles; never the tokens themselves."""
        return list(self._ask("GET", "/v1/tokens").get("items", ()))

    def revoke_token(self, name: str) -> Json:
        """The token of `name` stops working."""
        return self._ask("DELETE", f"/v1/tokens/{quote(name, safe='')}")

    def whole_log(self) -> Iterator[bytes]:
        """The whole log with its checkpoints, in pieces as they come."""
        with self._reachable(""), self._http.stream("GET", "/v1/export") as response:
            if not response.is_success:
                response.read()
                raise self._problem(response)
            yield from response.iter_bytes()

    def notary_key(self) -> str:
        """The public key that checkpoints are checked with."""
        with self._reachable(""):
            response = self._answer("GET", "/v1/checkpoint/key")
        if not response.is_success:
            raise self._problem(response)
        return response.text

    def _ask(self, method: str, path: str, **request: Any) -> Json:
        return _json(self._asked(method, path, **request))

    def _asked(self, method: str, path: str, **request: Any) -> httpx.Response:
        with self._reachable(request.get("headers", {}).get("Idempotency-Key", "")):
            response = self._answer(method, path, **request)
        if response.is_success:
            return response
        raise self._problem(response)

    def _answer(self, method: str, path: str, **request: Any) -> httpx.Response:
        """One answer; when it was lost on the way, the same question again (commands carry their id)."""
        for tries_left in reversed(range(TRIES)):
            try:
                return self._http.request(method, path, **request)
            except UNDECIDED:
                if not tries_left:
                    raise
        raise AssertionError("the loop returns or raises")

    @contextmanager
    def _reachable(self, command_id: str) -> Iterator[None]:
        try:
            yield
        except UNDECIDED as error:
            again = f"The outcome is unknown. Ask again with --command-id {command_id}" if command_id else ""
            raise CannotAsk(f"No answer from {self.url}: {error or type(error).__name__}", again) from error
        except (httpx.TransportError, httpx.InvalidURL) as error:
            raise CannotAsk(
                f"No Cutover service answers at {self.url}: {error}",
                "Start one with: cutover up",
                "Or say where it is: export CUTOVER_URL=https://...",
            ) from error

    def _problem(self, response: httpx.Response) -> Exception:
        problem = _problem_of(response)
        status = response.status_code
        if status in (404, 409, 412):
            return Refused(problem)
        hints = list(problem.get("reasons") or (problem.get("detail", ""),))
        if status == 401 and not self._has_token:
            hints = ["Set CUTOVER_TOKEN; an admin makes a token with: cutover token add NAME --role ROLE"]
        return CannotAsk(str(problem["title"]), *hints, problem=problem)


def _path(rollout: str) -> str:
    return f"/v1/rollouts/{quote(rollout, safe='')}"


def _trail(rollout: str) -> str:
    return f"{_path(rollout)}/audit" if rollout else "/v1/audit"


def _at_least(revision: int) -> dict[str, Any]:
    return {"at_least": revision} if revision else {}


def _as_of(point: str) -> dict[str, Any]:
    return {"as_of": point} if point else {}


def _json(response: httpx.Response) -> Json:
    if not response.content:
        return {}
    found = msgspec.json.decode(response.content)
    return found if isinstance(found, dict) else {"items": found}


def _problem_of(response: httpx.Response) -> Json:
    """The problem+json body, or one made of whatever else came (a proxy's page, say)."""
    try:
        found = _json(response)
    except NOT_JSON:
        found = {}
    return {"title": f"{response.status_code} {response.reason_phrase} from {response.url.path}"} | found
