"""The whole service with its tables on PostgreSQL, killed in between."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cdevents import deploy, structured
from tests.e2e.release import Release, small_plan
from tests.postgres_process import PostgresProcess
from tests.service_process import ServiceProcess

pytestmark = pytest.mark.postgres


def test_a_release_goes_from_adoption_to_everyone_and_back_over_a_kill(
    tmp_path: Path, postgres_server: PostgresProcess
) -> None:
    service = ServiceProcess(tmp_path / "data", environ={"CUTOVER_DATABASE": postgres_server.schema()})
    service.start()
    try:
        release = Release(service, small_plan(testing={"waived": "a test of the tables"}))
        release.ready_to_cut_over()
        release.do("cut_over")
        assert release.flags() == {"small_one": True, "small_two": True}
        service.kill()
        service.start()
        assert release.flags() == {"small_one": True, "small_two": True}
        release.do("roll_back")
        assert release.status()["phase"] == "rolled_back"
        trail = release.reader.get("/v1/rollouts/small/audit", params={"at_least": release.revision}).json()["items"]
        assert [line["revision"] for line in trail] == sorted(line["revision"] for line in trail)
        assert {line["fact"] for line in trail} >= {"plan_adopted", "decided", "exposure_set"}
        assert not (tmp_path / "data" / "cutover.db").exists()
    finally:
        service.close()


def test_a_deploy_whose_version_no_table_could_keep_stops_nothing(
    tmp_path: Path, postgres_server: PostgresProcess
) -> None:
    service = ServiceProcess(tmp_path / "data", environ={"CUTOVER_DATABASE": postgres_server.schema()})
    service.start()
    try:
        release = Release(service, small_plan())
        headers = {"Content-Type": "application/cloudevents+json"}
        for number, version in enumerate(("v%00x", "v1"), start=1):
            event = structured(deploy(version, id_=str(number)))
            assert service.client().post("/v1/signals", content=event, headers=headers).status_code == 202
        service.wait_until(lambda: len(release.reader.get("/v1/signals").json()["items"]) == 2, 30)
        found = release.reader.get("/v1/signals").json()["items"]
        assert [item["result"] for item in found] == ["kept", "done"]
        assert "U+0000" in found[0]["why"]
        release.revision = found[1]["effects"][0]["revision"]
        assert release.status()["phase"] == "code_deploy"
        assert release.flags() == {"small_one": False, "small_two": False}
    finally:
        service.close()
