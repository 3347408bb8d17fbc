"""Settings: frozen, bounded, and nothing misspelt goes unnoticed."""

from dataclasses import FrozenInstanceError, asdict, fields, is_dataclass
from ipaddress import ip_network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadglass.config import Config, load, parse
from leadglass.dicom.limits import Limits
from leadglass.errors import Misconfigured
from leadglass.vault.settings import VaultSettings
from leadglass.wire.limits import WireLimits


def test_without_a_file_everything_has_its_default(tmp_path: Path) -> None:
    assert load(tmp_path) == Config()


def test_what_the_file_says_is_taken(tmp_path: Path) -> None:
    (tmp_path / "leadglass.toml").write_text(
        """
        ae_title = "ARCHIVE"
        [listen]
        dicom_tls = "10.1.2.3:2762"
        [network]
        allowed_public_networks = ["203.0.113.0/24", "2001:db8::/32"]
        [wire]
        idle = 60
        [ingest]
        private_sop_classes = ["1.2.3"]
        """
    )
    config = load(tmp_path)
    assert config.ae_title == "ARCHIVE"
    assert config.listen.dicom_tls == "10.1.2.3:2762"
    assert config.network.allowed_public_networks == (ip_network("203.0.113.0/24"), ip_network("2001:db8::/32"))
    assert config.wire.idle == 60.0
    assert isinstance(config.wire.idle, float)
    assert config.ingest.private_sop_classes == ("1.2.3",)


@pytest.mark.parametrize(
    ("text", "named", "meant"),
    [
        ("ae_titel = 'X'", "ae_titel", "ae_title"),
        ("[network]\nunsafe_listen_public = true", "network.unsafe_listen_public", "unsafe_listen_on_public_address"),
        ("unsafe_listen_on_public_address = true", "unsafe_listen_on", "network.unsafe_listen_on_public_address"),
        ("[wier]\nidle = 3", "wier", "wire"),
        ("[nonsense]\nx = 1", "nonsense", "Sections are"),
    ],
)
def test_an_unknown_key_is_named_with_the_nearest_known_one(text: str, named: str, meant: str) -> None:
    with pytest.raises(Misconfigured) as refused:
        parse(text)
    assert named in refused.value.message
    assert meant in refused.value.message


@pytest.mark.parametrize(
    "text",
    [
        "ae_title = 3",
        "wire = 3",
        "[wire]\nidle = 'long'",
        "[wire]\nidle = true",
        "[wire]\nassociations = 1.5",
        "[wire]\nassociations = true",
        "[network]\nunsafe_listen_on_public_address = 1",
        "[network]\nallowed_public_networks = '203.0.113.0/24'",
        "[network]\nallowed_public_networks = [1]",
        "[network]\nallowed_public_networks = ['203.0.113.1/24']",
        "[ingest]\nprivate_sop_classes = [1]",
    ],
)
def test_a_value_of_another_type_is_refused(text: str) -> None:
    with pytest.raises(Misconfigured):
        parse(text)


@pytest.mark.parametrize("text", ["[wire]\nassociations = 0", "[ingest]\ndepth = 1000", "[audit]\nwindow = -1"])
def test_a_value_out_of_bounds_is_refused(text: str) -> None:
    with pytest.raises(Misconfigured, match="must be from"):
        parse(text)


@pytest.mark.parametrize("network", ["0.0.0.0/0", "::/0", "0.0.0.0/1", "128.0.0.0/1", "2000::/3"])
def test_everybody_is_no_network_that_can_be_allowed(network: str) -> None:
    with pytest.raises(Misconfigured, match="everybody"):
        parse(f"[network]\nallowed_public_networks = ['{network}']")


def test_a_file_that_is_no_toml_is_refused_with_the_line() -> None:
    with pytest.raises(Misconfigured, match="line 1"):
        parse("this is not toml")


@given(st.text(max_size=60))
def test_whatever_the_file_holds_it_is_read_or_refused(text: str) -> None:
    try:
        parse(text)
    except Misconfigured:
        return


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "leadglass.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(Misconfigured):
        load(tmp_path)


def test_dangers_are_named_and_there_are_none_by_default() -> None:
    assert Config().dangers() == ()
    config = parse("[network]\nunsafe_listen_on_public_address = true")
    assert config.dangers() == ("network.unsafe_listen_on_public_address",)


def test_settings_cannot_be_changed() -> None:
    config = Config()
    with pytest.raises(FrozenInstanceError):
        config.ae_title = "X"  # type: ignore[misc] # pyright: ignore[reportAttributeAccessIssue]


def test_limits_have_the_defaults_of_the_parts_they_are_for() -> None:
    config = Config()
    wire, limits, vault = WireLimits(), Limits(), VaultSettings()
    assert {name: getattr(wire, name) for name in asdict(config.wire)} == asdict(config.wire)
    shared = ("header_bytes", "elements", "depth", "inflated_bytes", "inflation_ratio")
    assert [getattr(limits, name) for name in shared] == [getattr(config.ingest, name) for name in shared]
    assert vault.max_instance_bytes == config.ingest.instance_bytes
    assert vault.min_free_bytes == config.ingest.min_free_bytes
    ingest = config.ingest
    assert (vault.quarantine.instances, vault.quarantine.octets) == (
        ingest.quarantine_instances,
        ingest.quarantine_bytes,
    )
    together, each = vault.submitted.together, vault.submitted.each
    assert (together.instances, together.octets) == (ingest.submitted_instances, ingest.submitted_bytes)
    assert (each.instances, each.octets) == (ingest.submitted_instances_of_one, ingest.submitted_bytes_of_one)
    assert vault.batch == config.work.commit_instances


def test_every_setting_says_why_it_has_its_default() -> None:
    folder = Path(__file__).parents[1] / "src/leadglass/sections"
    source = "".join(each.read_text() for each in sorted(folder.glob("*.py")))
    config = Config()
    for section in fields(config):
        value = getattr(config, section.name)
        for setting in fields(value) if is_dataclass(value) else ():
            at = source.index(f"    {setting.name}: ")
            after = source[at:].split("\n", 1)[1].lstrip()
            assert after.startswith('"""'), f"{section.name}.{setting.name} has no reason beside it"
