"""The receivers that the settings name.

One rule: without credentials there is no receiver, and what was to be sent is kept as text.
"""

from __future__ import annotations

import logging

import httpx

from events.facts import Channel
from services.herald.github import GitHub
from services.herald.outcome import Receiver
from services.herald.slack import SlackApi, SlackWebhook
from services.settings import Settings


def receivers(settings: Settings, client: httpx.AsyncClient) -> dict[Channel, Receiver]:
    """GitHub with token and repository; Slack with a token, or else a webhook."""
    logging.getLogger("httpx").setLevel(logging.WARNING)  # it would write down every URL, the webhook's too
    found: dict[Channel, Receiver] = {}
    if settings.github_token and settings.github_repository:
        found["github"] = GitHub(client, settings.github_url, settings.github_token, settings.github_repository)
    if settings.slack_token:
        found["slack"] = SlackApi(client, settings.slack_url, settings.slack_token)
    elif settings.slack_webhook:
        found["slack"] = SlackWebhook(client, settings.slack_webhook)
    return found
