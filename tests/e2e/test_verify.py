"""The signed log as an auditor meets it: exported, checked elsewhere, checked where it is, its key handed over."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from services.cli import app
from services.notary import cutover_verify
from tests.service_process import ROOT, ServiceProcess, ask

pytestmark = pytest.mark.connected


def cutover(service: ServiceProcess, *words: str, token: str = "") -> tuple[int, str, str]:
    """One command line, as the local admin unless a token is given."""
    env = {"CUTOVER_URL": service.url, "CUTOVER_DATA": str(service.data), "CUTOVER_TOKEN": token, "COLUMNS": "200"}
    ended = CliRunner().invoke(app, list(words), env=env)
    return ended.exit_code, ended.stdout, ended.stderr


def offline(file: Path, *words: str) -> tuple[int, str]:
    """cutover-verify, with nothing of ours to import."""
    command = [sys.executable, "-I", cutover_verify.__file__, str(file), *words]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, env=dict(os.environ), cwd=file.parent)
    return ended.returncode, ended.stdout + ended.stderr


def test_the_log_is_exported_checked_elsewhere_and_its_key_is_handed_over(
    own_service: ServiceProcess, tmp_path: Path
) -> None:
    admin = own_service.client()
    plan = (ROOT / "plans" / "first-rollout.yaml").read_bytes()
    admin.post("/v1/rollouts?id=seen", content=plan, headers={"Content-Type": "application/yaml"}).raise_for_status()
    for number in range(5):
        assert ask(admin, "seen", "note", text=f"number {number}").status_code == 200

    code, key, _ = cutover(own_service, "notary", "key")
    assert (code, key) == (0, (own_service.data / "notary.pub").read_text())
    (tmp_path / "notary.pub").write_text(key)
    exported = tmp_path / "log.jsonl"
    code, _, said = cutover(own_service, "export", "-o", str(exported))
    assert code == 0, said
    code, words = offline(exported, "--key", "notary.pub")
    assert (code, words[:3]) == (0, "OK:"), words
    note = admin.get("/v1/checkpoint")
    assert note.headers["content-type"].startswith("text/plain")
    (tmp_path / "checkpoint").write_text(note.text)
    assert offline(exported, "--key", "notary.pub", "--checkpoint", str(tmp_path / "checkpoint"))[0] == 0

    tampered = exported.read_bytes().replace(b"number 3", b"number 4")
    (tmp_path / "tampered").write_bytes(tampered)
    code, words = offline(tmp_path / "tampered", "--key", "notary.pub")
    assert code == 1
    assert "was changed" in words

    code, _, said = cutover(own_service, "notary", "rotate")
    assert code == 0, said
    assert ask(admin, "seen", "note", text="with the new key").status_code == 200
    code, new, _ = cutover(own_service, "notary", "key")
    assert new != key
    (tmp_path / "new.pub").write_text(new)
    cutover(own_service, "export", "-o", str(exported))
    for trusted in ("notary.pub", "new.pub"):
        code, words = offline(exported, "--key", trusted)
        assert (code, words[:3]) == (0, "OK:"), words

    code, out, said = cutover(own_service, "verify")
    assert (code, out[:3]) == (0, "OK:"), said
    with sqlite3.connect(own_service.data / "cutover.db") as tables:
        tables.execute("UPDATE audit_g1 SET hash = 'x' WHERE revision = 3")
        tables.execute("UPDATE audit_g1 SET subject = 'mallory' WHERE revision = 4")
        tables.execute("DELETE FROM audit_g1 WHERE revision = 5")
    code, _, said = cutover(own_service, "verify")
    assert code == 1
    assert "revision 3 is not the record that the tables were made of" in said
    assert "revision 4 stands in the tables with another subject than the record has: 'mallory'" in said
    assert "revision 5 is not in the tables" in said
    assert cutover(own_service, "verify", "--at-least", "1000")[0] == 1
    assert cutover(own_service, "verify", "--key", "nonsense")[0] == 2
    (tmp_path / "bytes").write_bytes(b"\xff\x00")
    for option in ("--key", "--checkpoint"):
        code, _, said = cutover(own_service, "verify", option, str(tmp_path / "bytes"))
        assert code == 2
        assert "not a text file" in said


def test_the_whole_log_is_for_admins_and_auditors(running_service: ServiceProcess) -> None:
    auditor = running_service.person("ada", "auditor")
    reader = running_service.person("rea", "reader")
    assert reader.get("/v1/export").status_code == 403
    assert reader.get("/v1/checkpoint/key").status_code == 200
    begun = running_service.client().post(
        "/v1/rollouts?id=whole",
        content=(ROOT / "plans" / "first-rollout.yaml").read_bytes(),
        headers={"Content-Type": "application/yaml"},
    )
    assert begun.status_code == 201
    answer = auditor.get("/v1/export")
    assert answer.status_code == 200
    assert answer.text.splitlines()[0].startswith('{"cutover-export":1')
    assert answer.text.splitlines()[-1].startswith('{"end":true')
