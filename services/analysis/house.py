"""What measures in one process: the server that is asked, the readings that are kept, and both as one measurer.

One rule: it is made once, from the settings; without a Prometheus people record what its queries would measure.
"""

from __future__ import annotations

from nats.js import JetStreamContext

from services.analysis.afresh import Afresh
from services.analysis.measure import Measurer
from services.analysis.prometheus import Prometheus
from services.analysis.readings import JetStreamReadings
from services.settings import Settings


class Measuring:
    """`afresh` for the engine, `measurer` for the monitor, `readings` for whoever publishes. Close it at the end."""

    def __init__(self, settings: Settings, js: JetStreamContext) -> None:
        self.server = Prometheus(settings.prometheus, settings.prometheus_token) if settings.prometheus else None
        self.readings = JetStreamReadings(js)
        self.measurer = Measurer(self.server, self.readings)
        self.afresh = Afresh(self.measurer)

    async def close(self) -> None:
        if self.server is not None:
            await self.server.close()
