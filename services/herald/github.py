"""GitHub issues: https://docs.github.com/en/rest/issues/issues.

One rule: look before opening. An issue whose answer was lost, or that an earlier process opened before it could say
so, carries its cause in its body and is found again.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import httpx
import msgspec

from events.codec import NOT_JSON
from services.herald.news import Message
from services.herald.outcome import Again, NotSent, Outcome, Sent, asked, refused
from services.herald.wording import body, marker, title

PAGES = 10  # of 100 issues each that are looked through
MOVED = "set CUTOVER_GITHUB_REPOSITORY to the repository's new name"
SKEW = timedelta(hours=1)  # our clock and theirs may differ


class GitHub:
    """One repository ("owner/name") of the API at `url`."""

    def __init__(self, client: httpx.AsyncClient, url: str, token: str, repository: str) -> None:
        self._client = client
        self._issues = httpx.URL(f"{url.rstrip('/')}/repos/{repository}/issues")
        self._headers = {
            "Authorization": f"Bearer {token}",
            "Accept": "application/vnd.github+json",
            "X-GitHub-Api-Version": "2022-11-28",
            "User-Agent": "cutover",
        }

    async def deliver(self, message: Message, issue: str) -> Outcome:
        """The issue's link; opened now, or found."""
        found = await self._find(message)
        return await self._open(message) if found is None else found

    async def _find(self, message: Message) -> Outcome | None:
        """The issue that carries the cause; None: there is none. The list is used, for search lags behind."""
        sought = marker(message.cause)
        asking: dict[str, Any] = {
            "state": "all",
            "sort": "created",
            "direction": "desc",
            "since": f"{message.when - SKEW:%Y-%m-%dT%H:%M:%SZ}",
            "per_page": 100,
        }
        for page in range(1, PAGES + 1):
            answer = await self._ask("GET", params={**asking, "page": page})
            if isinstance(answer, (Again, NotSent)):
                return answer
            for known in answer:
                if sought in (known.get("body") or ""):
                    return Sent(str(known.get("html_url", "")))
            if len(answer) < asking["per_page"]:
                return None
        return None

    async def _open(self, message: Message) -> Outcome:
        labels = list(message.route.github_labels)
        content = {"title": title(message), "body": body(message), "labels": labels}
        answer = await self._ask("POST", json=content)
        return Sent(str(answer.get("html_url", ""))) if isinstance(answer, dict) else answer

    async def _ask(self, method: str, **request: Any) -> Any:
        """The answer's JSON, or what its absence means."""
        response = await asked(self._client, method, str(self._issues), headers=self._headers, **request)
        if isinstance(response, httpx.Response) and (moved := self._moved(method, response)):
            response = await asked(self._client, method, moved, headers=self._headers, **request)
        if isinstance(response, Again):
            return response
        if response.is_redirect:
            return refused(response, MOVED)
        data = _json(response)
        if not response.is_success:
            says = str(data.get("message", "")) if isinstance(data, dict) else ""
            return refused(response, f"GitHub says {says!r}" if says else "")
        expected = isinstance(data, list if method == "GET" else dict)
        return data if expected else NotSent(f"answered {response.status_code}, but not as GitHub does")

    def _moved(self, method: str, response: httpx.Response) -> str:
        """Where the repository is now, on the same host, for no other may see the token; "" where there is no such
        place, or another method would have to be used there."""
        if response.status_code not in ((301, 307, 308) if method == "GET" else (307, 308)):
            return ""
        try:
            there = self._issues.join(response.headers.get("location", ""))
        except httpx.InvalidURL:
            return ""
        here = self._issues
        same = (there.scheme, there.host, there.port) == (here.scheme, here.host, here.port) and there != here
        return str(there) if same else ""


def _json(response: httpx.Response) -> Any:
    try:
        return msgspec.json.decode(response.content)
    except NOT_JSON:
        return None
