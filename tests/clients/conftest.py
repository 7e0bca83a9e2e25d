"""The whole service as a process, as the end-to-end tests have it."""

from tests.e2e.conftest import own_service, running_service

__all__ = ["own_service", "running_service"]
