"""A small release for tests of the whole service, and what people do to carry it on."""

from __future__ import annotations

from typing import Any

import httpx

from tests.service_process import ServiceProcess, ask


def small_plan(
    rollout: str = "small", toggles: tuple[str, ...] = ("small_one", "small_two"), **parts: Any
) -> dict[str, Any]:
    """A plan with one prerequisite, a watch of a second, testing with short windows, and two approvers."""
    return {
        "id": rollout,
        "title": f"The release of {rollout}",
        "toggles": dict.fromkeys(toggles, ""),
        "prerequisites": [{"text": "the service is live", "id": "live"}],
        "go_no_go": {"decided_by": ["Product Owner"]},
        "deploy": {"services": ["api"], "watch": [{"until": "1 second"}]},
        "testing": {"sessions": {"length": "1 to 60 seconds", "toggles_on": "1 second before"}, "results": []},
        "go_live": {"results_after": [], "results": []},
        "post_launch_questions": [],
        **parts,
    }


class Release:
    """The people of a release, and their commands; every answer must be the one expected."""

    def __init__(self, service: ServiceProcess, plan: dict[str, Any]) -> None:
        self.id = plan["id"]
        self._service = service
        self.manager = service.person(f"manager-of-{self.id}", "release_manager")
        self.owner = service.person(f"owner-of-{self.id}", "approver", "Product Owner")
        self.reader = service.client()
        self.revision = 0
        answer = self.manager.post("/v1/rollouts", json=plan)
        assert answer.status_code == 201, answer.text
        self.revision = answer.json()["revision"]

    def do(self, type_: str, by: httpx.Client | None = None, **fields: Any) -> dict[str, Any]:
        """A command that must be accepted."""
        answer = ask(by or self.manager, self.id, type_, **fields)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        self.revision = max(self.revision, found["revision"])
        return found

    def start_testing(self) -> None:
        self._watched()
        self.do("start_testing")

    def ready_to_cut_over(self) -> None:
        """Deployed, testing waived by the plan, go decided."""
        self._watched()
        self.do("decide", by=self.owner, decision="go")

    def _watched(self) -> None:
        self.do("report_deploy", service="api", version="1")
        self.do("attest", item="live")
        self._service.wait_until(lambda: not any("lasts until" in b for b in self.status()["blockers"]), 10)

    def flags(self, user: str = "") -> dict[str, bool]:
        """What this user has on, at least as of the last command."""
        path = f"/v1/rollouts/{self.id}/flags"
        answer = self.reader.get(path, params={"user": user, "at_least": self.revision})
        assert answer.status_code == 200, answer.text
        found: dict[str, bool] = answer.json()["flags"]
        return found

    def status(self) -> dict[str, Any]:
        answer = self.reader.get(f"/v1/rollouts/{self.id}", params={"at_least": self.revision})
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def facts(self, name: str) -> list[dict[str, Any]]:
        """The accepted facts of this name in the trail."""
        answer = self.reader.get(
            f"/v1/rollouts/{self.id}/audit", params={"fact": name, "limit": 1000, "at_least": self.revision}
        )
        assert answer.status_code == 200, answer.text
        return [row for row in answer.json()["items"] if row["outcome"] == "accepted"]
