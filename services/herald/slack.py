"""Slack: chat.postMessage (https://docs.slack.dev/reference/methods/chat.postMessage) or an incoming webhook.

One rule: a message carries an id made of its cause, the same at every try. Whether Slack drops the second one is its
own matter: unlike GitHub it does not let a poster look what is there. So after a lost answer one post may be two.
"""

from __future__ import annotations

from typing import Any
from uuid import NAMESPACE_URL, uuid5

import httpx
import msgspec

from events.codec import NOT_JSON
from services.herald.news import Message
from services.herald.outcome import Again, NotSent, Outcome, Sent, asked, refused, wait_of
from services.herald.wording import post

_LATER = ("ratelimited", "rate_limited", "internal_error", "fatal_error", "service_unavailable", "request_timeout")
_THERE = ("duplicate_message", "message_already_exists")


class SlackApi:
    """chat.postMessage of the API at `url`, as the bot whose token this is; the channel is the plan's."""

    def __init__(self, client: httpx.AsyncClient, url: str, token: str) -> None:
        self._client = client
        self._url = f"{url.rstrip('/')}/chat.postMessage"
        self._headers = {"Authorization": f"Bearer {token}"}

    async def deliver(self, message: Message, issue: str) -> Outcome:
        content = {
            "channel": message.route.channel.removeprefix("#"),
            "text": post(message, issue),
            "link_names": True,
            "unfurl_links": False,
            "client_msg_id": str(uuid5(NAMESPACE_URL, f"cutover:{message.cause}")),
            "metadata": {"event_type": "cutover", "event_payload": {"cause": message.cause}},
        }
        response = await asked(self._client, "POST", self._url, headers=self._headers, json=content)
        if isinstance(response, Again):
            return response
        return _meaning(response) if response.is_success else refused(response)


def _meaning(response: httpx.Response) -> Outcome:
    """Slack says 200 and then, in the body, whether it is so."""
    said = _json(response)
    error = str(said.get("error", "an answer that is not Slack's"))
    if said.get("ok") is True or error in _THERE:
        return Sent()
    if error in _LATER:
        return Again(f"Slack says {error!r}", wait_of(response.headers))
    return NotSent(f"Slack says {error!r}")


class SlackWebhook:
    """An incoming webhook: its address is the secret, and says in which channel it posts."""

    def __init__(self, client: httpx.AsyncClient, address: str) -> None:
        self._client = client
        self._address = address

    async def deliver(self, message: Message, issue: str) -> Outcome:
        content = {"text": post(message, issue), "link_names": 1}
        response = await asked(self._client, "POST", self._address, json=content)
        if isinstance(response, Again):
            return response
        return Sent() if response.is_success else refused(response, response.text[:100])


def _json(response: httpx.Response) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(response.content)
    except NOT_JSON:
        return {}
    return found if isinstance(found, dict) else {}
