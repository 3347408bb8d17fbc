"""Checks: each says something when it should, and nothing when it need not."""

from dataclasses import dataclass, replace
from datetime import date
from ipaddress import ip_address, ip_network

import pytest

from leadglass.exposure.checks.table import CHECKS
from leadglass.exposure.facts import (
    Database,
    Facts,
    Handshake,
    KeyPlace,
    Link,
    Loose,
    Marked,
    Opened,
    Reach,
    Stranger,
)
from leadglass.exposure.finding import MOST_OF_ONE_CHECK, Severity, examine
from leadglass.policy.action import Action
from leadglass.policy.roles import Role
from leadglass.sections import Backup, Brakes, BrakesOfTokens, Network
from tests.exposure.facts_of import (
    GOOD,
    HEALTHY,
    NARROW,
    NOW,
    account,
    certificate,
    config,
    days,
    device,
    here,
    secured,
    token,
)

LOW, MEDIUM, HIGH, CRITICAL, INFO = (
    Severity.LOW, Severity.MEDIUM, Severity.HIGH, Severity.CRITICAL, Severity.INFO,
)  # fmt: skip
READS = frozenset({Action.STORE, Action.FIND, Action.GET})
SPRING = date(2027, 3, 1)
LATER = date(2028, 11, 1)


def _door(reach: Reach, door: str = "https") -> Facts:
    return replace(HEALTHY, doors=(Opened(door, "x:1", reach),))


def _network(**said: object) -> Facts:
    return replace(HEALTHY, config=config(network=Network(**said)))  # type: ignore[arg-type]


def _web(**said: object) -> Facts:
    return replace(HEALTHY, config=config(web=replace(config().web, **said)))  # type: ignore[arg-type]


def _shown(door: str = "https", **said: object) -> Facts:
    return replace(HEALTHY, secured=(secured(door, certificate(**said)),))  # type: ignore[arg-type]


def _https(**said: object) -> Facts:
    return replace(HEALTHY, secured=(replace(secured(), **said),))  # type: ignore[arg-type]


def _device(*args: object, last: float | None = 1, enrolled: float | None = 60, **said: object) -> Facts:
    made = device(*args, **said)  # type: ignore[arg-type]
    return replace(HEALTHY, devices=(*HEALTHY.devices, here(made, last, enrolled)))


def _account(name: str = "x.y", **said: object) -> Facts:
    return replace(HEALTHY, accounts=(*HEALTHY.accounts, account(name, **said)))  # type: ignore[arg-type]


def _admins(count: int) -> Facts:
    return replace(HEALTHY, accounts=tuple(account(f"a.{number}", Role.ADMIN) for number in range(count)))


def _token(**said: object) -> Facts:
    return replace(HEALTHY, tokens=(token(**said),))  # type: ignore[arg-type]


def _link(until: float, *, made: float = 1, has_secret: bool = False, receives: bool = False) -> Facts:
    return replace(HEALTHY, links=(Link("ab", NOW - days(made), NOW + days(until), has_secret, receives),))


def _storage(**said: object) -> Facts:
    return replace(HEALTHY, storage=replace(HEALTHY.storage, **said))  # type: ignore[arg-type]


def _trail(**said: object) -> Facts:
    return replace(HEALTHY, trail=replace(HEALTHY.trail, **said))  # type: ignore[arg-type]


def _machine(**said: object) -> Facts:
    return replace(HEALTHY, machine=replace(HEALTHY.machine, **said))  # type: ignore[arg-type]


def _running(**said: object) -> Facts:
    assert HEALTHY.running is not None
    return replace(HEALTHY, running=replace(HEALTHY.running, **said))  # type: ignore[arg-type]


def _brakes(said: Brakes) -> Facts:
    return replace(HEALTHY, config=config(brakes=said))


def _loose(path: str, mode: int, *, foreign: bool = False) -> Facts:
    return replace(HEALTHY, loose=(Loose(path, mode, is_foreign=foreign),))


YOUNG = replace(HEALTHY, since=NOW - days(2))


@dataclass(frozen=True)
class Case:
    """A check, facts of which it says something and how bad, and facts near to them of which it says nothing."""

    check: str
    severity: Severity
    fires: Facts
    silent: Facts = HEALTHY
    says: str = ""


CASES = [
    # network
    Case("public-listener", HIGH, _door(Reach.PUBLIC), _door(Reach.LOCAL), "https"),
    Case("public-listener", CRITICAL, _door(Reach.PUBLIC, "dicom"), _door(Reach.LOOPBACK, "dicom")),
    Case(
        "public-interface",
        LOW,
        replace(HEALTHY, own_addresses=(ip_address("93.184.216.34"),)),
        replace(_door(Reach.LOOPBACK), own_addresses=(ip_address("93.184.216.34"),)),
        "93.184.216.34",
    ),
    Case("public-interface", INFO, replace(HEALTHY, own_addresses=None)),
    Case("allowed-public-network", MEDIUM, _network(allowed_public_networks=(ip_network("93.184.216.0/24"),))),
    Case("allowed-public-network", HIGH, _network(allowed_public_networks=(ip_network("93.184.0.0/16"),))),
    Case("unsafe-setting", HIGH, _network(unsafe_listen_on_public_address=True), says="unsafe_listen"),
    Case("unsafe-setting", MEDIUM, _web(unsafe_basic_auth_accounts=("old",)), _web(unsafe_basic_auth_accounts=())),
    Case("stranger-as-proxy", MEDIUM, replace(HEALTHY, strangers=(Stranger("10.9.9.9", 3, NOW),)), says="10.9.9.9"),
    Case(
        "wide-proxies",
        MEDIUM,
        _web(trusted_proxies=(ip_network("10.0.0.0/8"),)),
        _web(trusted_proxies=(ip_network("10.1.2.4/32"), ip_network("127.0.0.0/8"))),
    ),
    Case("wide-proxies", HIGH, _web(trusted_proxies=(ip_network("93.184.216.0/24"),))),
    Case("settings-not-in-force", LOW, replace(HEALTHY, settings="t"), replace(HEALTHY, settings="t", running=None)),
    # transport
    Case(
        "client-certificate",
        CRITICAL,
        replace(HEALTHY, secured=(replace(secured("dicom-tls"), wants_client_certificate=False),)),
        replace(HEALTHY, secured=(replace(secured("https"), wants_client_certificate=False),)),
    ),
    Case("tls-weak", HIGH, _https(weak=(Handshake("CBC", "TLSv1.2", "AES128-SHA"),)), says="AES128-SHA"),
    Case("tls-profile", MEDIUM, _https(good=(Handshake("TLS 1.3"),)), _https(good=(Handshake("x"),), fault="no")),
    Case("tls-profile", LOW, _https(preferred=Handshake("everything", "TLSv1.2", "x"), good=GOOD[1:])),
    Case("tls-cannot-open", HIGH, _https(fault="The key is too small."), says="too small"),
    Case("certificate-ends", HIGH, _shown(until=1), says="2026-11-23"),
    Case("certificate-ends", HIGH, _shown(until=-1), says="ended"),
    Case("certificate-ends", MEDIUM, _shown(until=20), _shown(until=31)),
    Case("certificate-early", HIGH, _shown(since=-1), _shown(since=0)),
    Case("certificate-weak", HIGH, _shown(key="RSA", bits=1024), _shown(key="RSA", bits=2048), "1024"),
    Case("certificate-weak", HIGH, _shown(signed_with="sha1"), _shown(key="Ed25519", signed_with=""), "SHA1"),
    Case("certificate-name", LOW, _shown(names=("other.example.org",)), _shown(names=("*.example.org",))),
    Case(
        "authority-ends",
        MEDIUM,
        replace(HEALTHY, authority_until=NOW + days(200)),
        replace(HEALTHY, authority_until=NOW + days(400)),
    ),
    Case("authority-ends", HIGH, replace(HEALTHY, authority_until=NOW + days(20))),
    Case("web-address", INFO, _web(address=""), replace(_web(address=""), doors=())),
    # devices
    Case("plaintext-lane", LOW, _device("OLD", until=SPRING), _device("OLD", until=date(2026, 11, 21)), "2027-03-01"),
    Case("plaintext-lane", INFO, _device("OLD", until=SPRING, addresses=("127.0.0.1/32",)), says="this machine alone"),
    Case("plaintext-reads", LOW, _device("OLD", until=SPRING, allow=READS, addresses=("127.0.0.1/32", "::1/128"))),
    Case("plaintext-reads", HIGH, _device("OLD", until=SPRING, allow=READS), _device("NEW", allow=READS), "find, get"),
    Case(
        "plaintext-wide",
        MEDIUM,
        _device("OLD", until=SPRING, addresses=("10.1.2.0/24",)),
        _device("OLD", until=SPRING, addresses=("127.0.0.0/24", "10.1.2.3/32")),
        "10.1.2.0/24",
    ),
    Case("plaintext-long", MEDIUM, _device("OLD", until=LATER), _device("OLD", until=SPRING)),
    Case(
        "no-certificates",
        MEDIUM,
        replace(HEALTHY, devices=(here(device(until=SPRING, certificate=None), enrolled=None),)),
        replace(HEALTHY, devices=()),
    ),
    Case("device-certificate-ends", MEDIUM, _device("NEW", certificate=10), _device("NEW", certificate=31)),
    Case("device-certificate-ends", LOW, _device("NEW", certificate=-1), says="ended"),
    Case("device-silent", LOW, _device("NEW", last=91), _device("NEW", last=89), "last here"),
    Case("device-silent", LOW, _device("NEW", last=None, enrolled=100), _device("NEW", last=None), "never was here"),
    Case("device-silent", MEDIUM, _device("NEW", last=91, allow=READS)),
    Case("bulk-grant", MEDIUM, _device("AI", bulk="moving"), _device("AI", bulk="x", bulk_until=date(2026, 11, 21))),
    Case("bulk-grant", LOW, _device("AI", bulk="moving", bulk_until=SPRING)),
    # people
    Case("no-second-factor", LOW, _account(totp=False), _account(totp=False, passkeys=1), "x.y"),
    Case("no-second-factor", MEDIUM, _account(totp=False, role=Role.ADMIN), _account(totp=False, origin="https://i")),
    Case("account-unused", LOW, _account(seen=91), _account(seen=89), "91 days"),
    Case("account-unused", LOW, _account(seen=None, made=500), _account(seen=None, made=89), "at least 90 days"),
    Case("account-unused", MEDIUM, _account(seen=91, role=Role.ADMIN), _account(seen=91, locked=True)),
    Case("account-never-used", LOW, _account(made=20, seen=None), _account(made=10, seen=None)),
    Case("one-admin", LOW, _admins(1), _admins(2)),
    Case("many-admins", MEDIUM, _admins(6), _admins(5)),
    Case("account-locked", INFO, _account(locked=True, seen=200), _account(locked=True, seen=100)),
    Case("admin-from-outside", MEDIUM, replace(HEALTHY, admin_groups=("[oidc] groups: it -> admin",)), says="it -> "),
    Case("unreviewed-emergency", LOW, replace(HEALTHY, unreviewed=2)),
    # programs and links
    Case("token-unused", LOW, _token(made=40, used=31, scope=NARROW), _token(made=40, used=29, scope=NARROW)),
    Case("token-unused", LOW, _token(name="j.doe/nightly", made=40, used=None, scope=NARROW), says="j.doe/nightly"),
    Case("token-unused", MEDIUM, _token(made=40, used=None), _token(made=40, used=None, until=-1), "never used"),
    Case("token-wide", LOW, _token(made=10, until=60), _token(made=10, until=60, scope=NARROW)),
    Case("token-wide", LOW, _token(made=40, until=1), _token(made=1, until=1)),
    Case("token-bulk", LOW, _token(scope=NARROW, bulk="export"), _token(scope=NARROW, bulk="x", until=-1), "(export)"),
    Case("admin-token", MEDIUM, _token(role=Role.ADMIN), _token(role=Role.ADMIN, until=0.5)),
    Case("token-ends", INFO, _token(made=20, until=3, scope=NARROW), _token(made=20, until=3, used=None)),
    Case("link-long", MEDIUM, _link(40), _link(20), "asks for no PIN"),
    Case("link-long", LOW, _link(40, has_secret=True), _link(-1, made=60)),
    Case("brakes-wide", MEDIUM, _brakes(Brakes(studies_per_hour=10_000)), _brakes(Brakes(studies_per_hour=9_999))),
    Case("brakes-wide", MEDIUM, _brakes(Brakes(tokens=BrakesOfTokens(gib_per_day=1_000_000))), says="[brakes.tokens]"),
    # keeping
    Case("no-backup", HIGH, replace(HEALTHY, backup=None), says="No backup is known"),
    Case("no-backup", MEDIUM, replace(YOUNG, backup=None)),
    Case("no-backup", LOW, replace(_storage(instances=0), backup=None), says="Nothing was stored when"),
    Case("no-backup", MEDIUM, replace(HEALTHY, backup=NOW - days(3)), replace(HEALTHY, backup=NOW - days(1.9))),
    Case("no-backup", HIGH, replace(HEALTHY, backup=NOW - days(30)),
         replace(HEALTHY, backup=NOW - days(30), config=config(backup=Backup(longest_days=31)))),
    Case("files-loose", MEDIUM, _loose("/d/objects", 0o755), says="chmod"),
    Case("files-loose", HIGH, _loose("/d/index.db", 0o620), says="write to"),
    Case("files-loose", HIGH, _loose("/d/keys/ca.pem", 0o640)),
    Case("files-loose", HIGH, _loose("/d/index.db", 0o600, foreign=True), says="another user"),
    Case("disk-full", HIGH, _storage(free=2**29), _storage(free=2 * 10**11), "nothing is taken in"),
    Case("disk-full", HIGH, _storage(free=10**11, growth=20 * 10**9), _storage(free=10**12, growth=20 * 10**9)),
    Case("disk-full", MEDIUM, _storage(free=10**11, growth=5 * 10**9), says="lasts 19 days"),
    Case("disk-full", MEDIUM, _storage(free=9 * 10**10), says="less than a twentieth"),
    Case("key-beside", MEDIUM, replace(HEALTHY, key=KeyPlace("file", "x", is_beside=True)),
         replace(HEALTHY, key=KeyPlace("file", "/mnt/key"))),
    Case("key-beside", LOW, replace(HEALTHY, key=KeyPlace("environment", "x"))),
    Case("key-unsettled", MEDIUM, replace(HEALTHY, key=KeyPlace("file", "x", is_settled=False))),
    Case("quarantine-full", MEDIUM, _storage(quarantined=800), _storage(quarantined=799)),
    Case("quarantine-full", HIGH, _storage(quarantined_octets=20 * 2**30)),
    Case("quarantine-waits", LOW, _storage(oldest_quarantined=NOW - days(31)),
         _storage(oldest_quarantined=NOW - days(29))),
    Case("database-log", LOW, replace(HEALTHY, databases=(Database("index.db", 1, 2**31),)),
         replace(HEALTHY, databases=(Database("index.db", 2**40, 2**20),))),
    # the audit log
    Case("audit-here-only", LOW, _trail(has_collector=False, has_folder=False), _trail(has_collector=False)),
    Case("audit-copies-fail", MEDIUM, _trail(collector_fails=NOW - days(0.2)), says="collector"),
    Case("audit-copies-fail", HIGH, _trail(folder_fails=NOW - days(2)), says="checkpoint folder"),
    Case("audit-folder-beside", LOW, _trail(is_folder_beside=True)),
    Case("audit-head", HIGH, _trail(is_outside_good=False), _trail(records=0, is_outside_good=False, verified=None)),
    Case("audit-head", MEDIUM, _trail(unsigned=5, signed=NOW - days(2)), _trail(signed=NOW - days(2))),
    Case("audit-not-sound", CRITICAL, _trail(verified=Marked(NOW, 1)), says="did not verify"),
    Case("audit-not-sound", LOW, _trail(verified=Marked(NOW - days(32))), _trail(verified=Marked(NOW - days(30)))),
    Case("audit-not-sound", LOW, _trail(verified=None),
         replace(YOUNG, trail=replace(YOUNG.trail, verified=None))),
    Case("images-not-checked", HIGH, _trail(checked=Marked(NOW, 2)), says="2 faults"),
    Case("images-not-checked", LOW, _trail(checked=Marked(NOW - days(93)))),
    Case("images-not-checked", LOW, _trail(checked=None),
         replace(_storage(instances=0), trail=replace(HEALTHY.trail, checked=None))),
    # the machine
    Case("runs-as-root", MEDIUM, _running(is_root=True), replace(HEALTHY, machine=replace(HEALTHY.machine))),
    Case("runs-as-root", MEDIUM, replace(_machine(is_root=True), running=None), _machine(is_root=True)),
    Case("core-dumps", MEDIUM, _running(leaves_core=True), _machine(leaves_core=True)),
    Case("clock", HIGH, _machine(newest_record=NOW + days(1)), _machine(newest_record=NOW + days(0.001))),
    Case("clock", LOW, _machine(is_clock_steered=False), _machine(is_clock_steered=None)),
    Case("program-old", LOW, _machine(installed=NOW - days(181)), _machine(installed=None)),
    Case("program-not-restarted", LOW, _running(version="0.9"), replace(HEALTHY, running=None)),
]  # fmt: skip


def test_nothing_is_said_of_an_archive_where_all_is_well() -> None:
    assert [(each.key, each.said) for each in examine(HEALTHY, CHECKS)] == []


def test_every_check_has_a_case_and_every_case_a_check() -> None:
    assert {check.id for check in CHECKS} == {case.check for case in CASES}


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.check}-{case.severity}")
def test_a_check_says_something_when_it_should(case: Case) -> None:
    found = [each for each in examine(case.fires, CHECKS) if each.check == case.check]
    assert found
    assert max(found, key=lambda each: each.severity.rank).severity is case.severity
    assert any(case.says in f"{each.said} {each.fix.command}" for each in found)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.check}-{case.severity}")
def test_a_check_says_nothing_when_it_need_not(case: Case) -> None:
    assert [each.said for each in examine(case.silent, CHECKS) if each.check == case.check] == []


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.check}-{case.severity}")
def test_a_finding_is_whole(case: Case) -> None:
    known = {check.id: check for check in CHECKS}
    for each in examine(case.fires, CHECKS):
        assert each.said.endswith((".", "admin", "moving", "x"))
        assert each.fix.text.endswith(".")
        assert each.meaning.endswith(".")
        assert known[each.check].worst.is_at_least(each.severity)


def test_the_words_of_checks_are_their_own_and_stay_short() -> None:
    assert len({check.id for check in CHECKS}) == len(CHECKS)
    assert all(len(check.title) <= 60 and not check.title.endswith(".") for check in CHECKS)


def test_more_of_one_kind_than_anybody_reads_are_counted() -> None:
    many = tuple(here(device(f"D{number}", until=SPRING)) for number in range(80))
    found = [each for each in examine(replace(HEALTHY, devices=many), CHECKS) if each.check == "plaintext-lane"]
    assert len(found) == MOST_OF_ONE_CHECK + 1
    assert any("30 more" in each.said for each in found)


def test_the_same_finding_has_the_same_key_in_the_next_run_and_another_device_another() -> None:
    def keys(*titles: str) -> set[str]:
        facts = replace(HEALTHY, devices=tuple(here(device(title, until=SPRING)) for title in titles))
        return {each.key for each in examine(facts, CHECKS) if each.check == "plaintext-lane"}

    assert keys("A") == keys("A")
    assert keys("A") & keys("B") == set()
    assert keys("A", "B") == keys("A") | keys("B")


def test_the_worst_comes_first() -> None:
    facts = replace(_device("OLD", until=LATER, allow=READS), backup=None)
    ranks = [each.severity.rank for each in examine(facts, CHECKS)]
    assert len(ranks) > 2
    assert ranks == sorted(ranks, reverse=True)


@pytest.mark.parametrize("name", ["--help", "$(id)", "a;b", "x' y", "<script>"])
def test_a_command_names_nothing_that_a_shell_would_obey(name: str) -> None:
    found = examine(_token(name=name, role=Role.ADMIN), CHECKS)
    assert all(name not in each.fix.command for each in found)
    made = replace(HEALTHY, devices=(here(device("A$(id)B", until=SPRING)),))
    assert all("$(id)" not in each.fix.command for each in examine(made, CHECKS))
    spaced = examine(_loose("/d/it's here;id", 0o777), CHECKS)
    assert [each.fix.command for each in spaced] == ["chmod 0600 '/d/it'\"'\"'s here;id'"]
