"""The HTTP app: the routes, behind one layer that bounds bodies.

One rule: every answer that is a no is a problem (RFC 9457), from whatever depth it comes.
"""

from __future__ import annotations

from functools import partial
from typing import Any, cast

import uvicorn
from litestar import Litestar
from litestar.datastructures import State

from services.api import (
    audit,
    documents,
    events,
    explain,
    flags,
    health,
    kpis,
    notarized,
    readings,
    report,
    rollouts,
    signals,
    testers,
    tokens,
)
from services.api.access import authenticate
from services.api.bodies import App, bounded
from services.api.problems import answered
from services.api.reads.at_once import AtOnce
from services.api.reads.front import AT_ONCE, Front
from services.api.service import Service

KEEP_ALIVE = 65  # seconds; load balancers keep theirs for 60, and must not send into one that is being closed

__all__ = ["Service", "make_app", "server"]


def make_app(service: Service) -> Front:
    """The ASGI app for this service. It starts and stops nothing: that is the business of whoever made the service."""
    return Front(service, bounded(cast(App, routes(service))))


def routes(service: Service) -> Litestar:
    """Everything that is not a flag read (services/api/reads/)."""
    return Litestar(
        route_handlers=[
            health.healthz,
            health.readyz,
            documents.openapi,
            documents.nats,
            rollouts.begin,
            rollouts.command,
            rollouts.rollouts,
            rollouts.rollout_status,
            rollouts.plan,
            audit.everything,
            audit.of_rollout,
            events.everything,
            events.of_rollout,
            flags.flags,
            explain.explain,
            tokens.add,
            tokens.listed,
            tokens.changes,
            tokens.revoke,
            testers.sessions,
            testers.erase,
            *signals.HANDLERS,
            readings.publish,
            readings.published,
            kpis.kpis,
            kpis.criterion_history,
            report.filled_in,
            notarized.checkpoint,
            notarized.key,
            notarized.whole_log,
        ],
        before_request=authenticate,
        exception_handlers={Exception: answered},
        state=State({"service": service}),
        openapi_config=None,
        logging_config=None,
    )


def server(app: App, host: str, port: int) -> uvicorn.Server:
    """uvicorn as Cutover runs it: no access log (query strings may hold a user's id), no word about itself.

    What a `Front` can answer at once never comes to it as ASGI.
    """
    http = partial(AtOnce, app.at_once, AT_ONCE) if isinstance(app, Front) else "httptools"
    return uvicorn.Server(
        uvicorn.Config(
            app,
            host=host,
            port=port,
            http=cast(Any, http),
            access_log=False,
            timeout_keep_alive=KEEP_ALIVE,
            server_header=False,
            log_level="warning",
            log_config=None,
        )
    )
