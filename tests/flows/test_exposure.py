"""The self-check over a running archive: a new one stands well, and what is planted in another is found."""

import json
import os
import ssl
import time
from collections.abc import Generator
from pathlib import Path
from typing import cast

import httpx
import pytest

from leadglass.app import App
from leadglass.exposure import told
from leadglass.exposure.report import Occasion
from tests.peers.certificates import write_certificate
from tests.peers.leadglass import Leadglass, json_objects
from tests.peers.web import PATIENCE, Web, serving

OF_ANY_NEW_INSTALL = {
    "key-beside": "medium",  # it has to start without anybody
    "no-backup": "low",  # nothing is stored yet
    "audit-here-only": "low",  # nobody named a collector yet
    "one-admin": "low",  # the first
    "clock": "low",  # of this machine
    "web-address": "info",
}
"""What is true of every new archive, and how bad it is."""

IF_ROOT = {"runs-as-root": "medium"} if os.geteuid() == 0 else {}

Findings = dict[str, list[str]]
"""What was found, in sentences, by the check."""


def report(leadglass: Leadglass) -> tuple[int, dict[str, object]]:
    """Run the self-check; gives its exit code and what it said."""
    ran = leadglass.cli("exposure", "--json")
    return ran.code, cast("dict[str, object]", json.loads(ran.out))


def looked(leadglass: Leadglass) -> dict[str, object]:
    """Run it without a process of its own, which takes longer than the looking."""
    with App().open(leadglass.data) as opened:
        checks = opened.open_exposure()
        made = checks.run(Occasion.ASKED, opened.caller)
        text = json.dumps(told.as_json(made, checks.standing(opened.caller).acceptances))
    return cast("dict[str, object]", json.loads(text))


def findings_in(said: dict[str, object]) -> list[dict[str, object]]:
    return cast("list[dict[str, object]]", said["findings"])


def by_check(said: dict[str, object]) -> Findings:
    found: Findings = {}
    for each in findings_in(said):
        found.setdefault(str(each["check"]), []).append(str(each["said"]))
    return found


# --- a new one ------------------------------------------------------------------


def test_a_new_archive_that_serves_stands_well(tmp_path: Path) -> None:
    with serving(tmp_path) as web:
        code, said = report(web.leadglass)
        kinds = {str(each["check"]): str(each["severity"]) for each in findings_in(said)}
        assert code == 0
        assert kinds.items() <= {**OF_ANY_NEW_INSTALL, **IF_ROOT}.items()
        assert {"key-beside", "no-backup", "audit-here-only"} <= set(kinds)
        assert int(str(said["score"])) >= 75
        records = web.leadglass.audit("--action", "exposure")
        assert [str(each["outcome"]) for each in records] == ["done", "done"]
        assert ["start" in json.dumps(each["detail"]) for each in records] == [True, False]


# --- one with everything wrong ------------------------------------------------------

SETTINGS = """
[network]
allowed_public_networks = ["93.184.216.0/24"]
[web]
unsafe_basic_auth_accounts = ["old-script"]
trusted_proxies = ["10.0.0.0/8"]
certificate = "{certificate}"
[oidc]
groups = ["it -> admin"]
[audit]
checkpoint_folder = "{heads}"
[brakes]
studies_per_hour = 1000000
"""


def _client(web: Web, certificate: Path, token: str) -> httpx.Client:
    fields = {"Authorization": f"Bearer {token}"}
    return httpx.Client(
        base_url=f"https://localhost:{web.address[1]}",
        headers=fields,
        verify=ssl.create_default_context(cafile=str(certificate)),
        timeout=PATIENCE,
        trust_env=False,
    )


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Generator[tuple[Web, httpx.Client, Path]]:
    folder = tmp_path_factory.mktemp("planted")
    certificate = write_certificate(folder / "own.pem", days=0.9, names=("localhost",))
    trusted = folder / "trusted.pem"
    trusted.write_bytes(certificate.read_bytes())
    (folder / "heads").mkdir()
    settings = SETTINGS.format(certificate=certificate, heads=folder / "heads")
    with serving(folder, settings=settings) as web:
        until = time.strftime("%Y-%m-%d", time.gmtime(time.time() + 40 * 86_400))
        web.leadglass.do(
            "device", "add", "CT<b>1", "--address", "10.1.2.0/24", "--plaintext", "--until", until,
            "--allow", "store,find,get",
        )  # fmt: skip
        web.leadglass.device("AI", bulk="everything has to be learned from")
        with _client(web, trusted, web.token("admin", ttl="30d")) as client:
            assert client.get("/healthz", headers={"X-Forwarded-For": "8.8.8.8"}).status_code == 200
            (web.leadglass.data / "objects").chmod(0o755)
            (web.leadglass.data / "index.db").chmod(0o600)
            with (web.leadglass.data / "leadglass.toml").open("a") as file:
                file.write("# somebody changed it\n")
            yield web, client, certificate


PLANTED = {
    "plaintext-reads": "CT<b>1 may find, get without encryption",
    "plaintext-wide": "10.1.2.0/24",
    "allowed-public-network": "93.184.216.0/24",
    "unsafe-setting": "web.unsafe_basic_auth_accounts",
    "wide-proxies": "10.0.0.0/8",
    "stranger-as-proxy": "127.0.0.1 sent X-Forwarded-For",
    "certificate-ends": "https ends on",
    "files-loose": "Others may read",
    "admin-from-outside": "it -> admin",
    "admin-token": "administers the archive",
    "brakes-wide": "studies_per_hour",
    "bulk-grant": "everything has to be learned from",
    "audit-folder-beside": "same disk",
    "settings-not-in-force": "changed after the server started",
}


def test_what_is_planted_is_seen_by_the_command_line(planted: tuple[Web, httpx.Client, Path]) -> None:
    web = planted[0]
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:  # the server leaves what it alone knows every few seconds
        if "stranger-as-proxy" in by_check(looked(web.leadglass)):
            break
    code, said = report(web.leadglass)
    assert code == 1
    found = by_check(said)
    missing = {check: words for check, words in PLANTED.items() if words not in " ".join(found.get(check, []))}
    assert missing == {}


def test_it_is_seen_by_the_page_and_by_programs(planted: tuple[Web, httpx.Client, Path]) -> None:
    client = planted[1]
    client.post("/system/check", headers={"Accept": "application/json"}).raise_for_status()
    said = client.get("/system", headers={"Accept": "application/json"}).json()
    found = by_check(said["report"])
    assert {check: words for check, words in PLANTED.items() if words not in " ".join(found.get(check, []))} == {}
    assert {door["door"]: door["reach"] for door in said["doors"]}["https"] == "this machine only"
    page = client.get("/system", headers={"Accept": "text/html"})
    assert page.status_code == 200
    assert "<b>1" not in page.text
    assert "CT&lt;b&gt;1 may find, get without encryption" in page.text
    for words in ("93.184.216.0/24", "127.0.0.1 sent X-Forwarded-For", "web.unsafe_basic_auth_accounts is on"):
        assert words in page.text


def test_a_certificate_that_would_not_open_again_is_seen_before_the_restart(
    planted: tuple[Web, httpx.Client, Path],
) -> None:
    web, client, certificate = planted
    before = certificate.read_bytes()
    write_certificate(certificate, bits=1024)
    try:
        said = client.post("/system/check", headers={"Accept": "application/json"}).json()
        for found in (by_check(said), by_check(looked(web.leadglass))):
            assert "key of 1024 bits (RSA)" in " ".join(found["certificate-weak"])
            assert "cannot open anew" in " ".join(found["tls-cannot-open"])
    finally:
        certificate.write_bytes(before)


def test_a_folder_that_others_may_read_is_seen_by_the_page_and_refused_by_every_command(
    planted: tuple[Web, httpx.Client, Path],
) -> None:
    web, client, _ = planted
    web.leadglass.data.chmod(0o755)
    try:
        said = client.post("/system/check", headers={"Accept": "application/json"}).json()
        assert str(web.leadglass.data) in " ".join(by_check(said)["files-loose"])
        ran = web.leadglass.cli("exposure")
        assert (ran.code, "chmod 0700" in ran.said) == (1, True)
    finally:
        web.leadglass.data.chmod(0o700)


def test_what_is_bad_and_new_is_an_alert_on_record(planted: tuple[Web, httpx.Client, Path]) -> None:
    alerts = json_objects(planted[0].leadglass.do("audit", "show", "--json", "--action", "exposure"))
    reasons = [str(each["reason"]) for each in alerts if each["outcome"] == "alert"]
    assert sum("without encryption" in reason for reason in reasons) == 1


def test_the_command_line_accepts_and_counts_again(planted: tuple[Web, httpx.Client, Path]) -> None:
    leadglass = planted[0].leadglass
    before = looked(leadglass)
    name = next(str(each["finding"]) for each in findings_in(before) if each["check"] == "plaintext-reads")
    until = time.strftime("%Y-%m-%d", time.gmtime(time.time() + 30 * 86_400))
    leadglass.do("exposure", "accept", name, "--until", until, "--reason", "the CT is replaced next month")
    after = looked(leadglass)
    assert (before["accepted"], after["accepted"]) == (0, 1)  # of so much that is wrong the score stays 0
    [accepted] = [each["accepted"] for each in findings_in(after) if each["finding"] == name]
    assert cast("dict[str, str]", accepted)["until"] == until
    assert "Accepted until" in leadglass.cli("exposure").out
    leadglass.do("exposure", "withdraw", name)
    assert looked(leadglass)["accepted"] == 0
    history = json_objects(leadglass.do("exposure", "history", "--json", "--count", "3"))
    assert [each["occasion"] for each in history] == ["asked", "asked", "asked"]


def test_nothing_that_it_says_names_a_key_or_a_token(planted: tuple[Web, httpx.Client, Path]) -> None:
    web, client, _ = planted
    secret = (web.leadglass.data / "keys" / "archive.key").read_text().split()[-1]
    bearer = client.headers["Authorization"].removeprefix("Bearer ")
    texts = [client.get("/system", headers={"Accept": accept}).text for accept in ("text/html", "application/json")] + [
        web.leadglass.cli("exposure", "--json").out
    ]
    for text in texts:
        assert secret not in text
        assert bearer not in text


def test_the_log_verified_and_everything_re_read_are_noted(tmp_path: Path) -> None:
    leadglass = Leadglass(tmp_path)
    leadglass.do("init")
    leadglass.do("audit", "verify")
    leadglass.do("fsck")
    with App().open(leadglass.data) as opened:
        seen = opened.open_exposure().facts().trail
    assert [mark is not None and mark.faults for mark in (seen.verified, seen.checked)] == [0, 0]


def test_without_a_server_the_doors_of_the_settings_are_looked_at(tmp_path: Path) -> None:
    leadglass = Leadglass(tmp_path)
    leadglass.do("init")
    (leadglass.data / "leadglass.toml").write_text('[listen]\nhttps = "93.184.216.34:443"\n')
    said = looked(leadglass)
    assert "93.184.216.34:443" in " ".join(by_check(said)["public-listener"])
