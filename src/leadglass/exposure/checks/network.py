"""Network: from where the archive can be reached at all."""

from collections.abc import Iterator
from typing import Final

from leadglass.exposure.facts import Facts, Reach
from leadglass.exposure.finding import Check, Fix, Found, Group, Severity
from leadglass.identity.peers import IpNetwork

_ADDRESSES_OF_A_HOUSE: Final = {4: 24, 6: 64}
"""Shortest prefix of a public network that is somebody's office; a wider one is a provider's."""

_ADDRESSES_OF_PROXIES: Final = {4: 29, 6: 120}
"""Shortest prefix of networks of reverse proxies: eight addresses (256 of IPv6). A wider one has others in it."""

_LISTEN: Final = Fix(
    "Listen on the address of the network your devices are in, in [listen] of leadglass.toml, and start anew.",
    "leadglass serve --dicom-tls 10.1.2.3:2762 --http 10.1.2.3:443",
)


def _public_listener(facts: Facts) -> Iterator[Found]:
    for door in facts.doors:
        if door.reach is Reach.PUBLIC:
            worst = Severity.CRITICAL if door.door == "dicom" else Severity.HIGH
            yield Found(
                worst,
                f"The door {door.door} listens on {door.address}, where the whole internet reaches this machine.",
                _LISTEN,
                door.door,
            )


def _public_interface(facts: Facts) -> Iterator[Found]:
    if facts.own_addresses is None:
        yield Found(
            Severity.INFO,
            "The operating system does not tell which addresses this machine has.",
            Fix("Look yourself whether one of them is a public one, and keep a firewall before it."),
        )
        return
    public = [str(address) for address in facts.own_addresses if address.is_global]
    if public and any(door.reach is not Reach.LOOPBACK for door in facts.doors):
        shown = ", ".join(public[:3])
        yield Found(
            Severity.LOW,
            f"This machine has an address of the internet ({shown}), and a door that is open to a network.",
            Fix("Put the archive on a machine without one, or keep a firewall before it that lets nobody in."),
        )


def _allowed_public(facts: Facts) -> Iterator[Found]:
    for network in facts.config.network.allowed_public_networks:
        is_wide = network.prefixlen < _ADDRESSES_OF_A_HOUSE[network.version]
        yield Found(
            Severity.HIGH if is_wide else Severity.MEDIUM,
            f"Whoever is in the public network {network} ({_size(network)}) may speak to the archive.",
            Fix(
                "Have them come through a VPN and take the network out of [network] allowed_public_networks; "
                "at least name single addresses."
            ),
            str(network),
        )


_OF_DANGER: Final = {
    "network.unsafe_listen_on_public_address": Severity.HIGH,
    "web.unsafe_basic_auth_accounts": Severity.MEDIUM,
    "webhooks.unsafe_loopback_receivers": Severity.LOW,
}


def _unsafe_settings(facts: Facts) -> Iterator[Found]:
    for name in facts.config.dangers():
        section, _, key = name.rpartition(".")
        yield Found(
            _OF_DANGER.get(name, Severity.HIGH),
            f"The setting {name} is on.",
            Fix(f"Take {key} out of [{section}] in leadglass.toml, and start anew."),
            name,
        )


def _strangers_as_proxies(facts: Facts) -> Iterator[Found]:
    for stranger in facts.strangers:
        yield Found(
            Severity.MEDIUM,
            f"{stranger.peer} sent X-Forwarded-For or Forwarded {stranger.times} times, last on "
            f"{stranger.last:%Y-%m-%d %H:%M} UTC, and is no trusted proxy. It was not believed: everybody behind it "
            "counts as that one address.",
            Fix(
                "If it is your reverse proxy, list its address in [web] trusted_proxies. If not, find out what it is: "
                "somebody tries to pass for another address, or a proxy was put up that you do not know."
            ),
            stranger.peer,
        )


def _wide_proxies(facts: Facts) -> Iterator[Found]:
    for network in facts.config.web.trusted_proxies:
        if network.prefixlen < _ADDRESSES_OF_PROXIES[network.version] and not network.is_loopback:
            yield Found(
                Severity.HIGH if network.is_global else Severity.MEDIUM,
                f"Everybody in {network} ({_size(network)}) is believed about whose request it is.",
                Fix("List the addresses of your proxies alone in [web] trusted_proxies, as in 10.1.2.3/32."),
                str(network),
            )


def _settings_changed(facts: Facts) -> Iterator[Found]:
    if facts.running is not None and facts.running.settings != facts.settings:
        yield Found(
            Severity.LOW,
            "leadglass.toml was changed after the server started; what it says now does not count yet.",
            Fix("Start the server anew, and look at what it says then.", "systemctl restart leadglass"),
        )


def _size(network: IpNetwork) -> str:
    return f"{network.num_addresses:,} addresses" if network.num_addresses < 10**9 else f"a /{network.prefixlen}"


CHECKS: Final = (
    Check(
        "public-listener",
        Group.NETWORK,
        "A door is open to the internet",
        "Archives that leaked could be reached from everywhere; scanners find each within hours.",
        Severity.CRITICAL,
        ("HIPAA 164.312(e)(1)", "GDPR 32(1)(b)"),
        _public_listener,
    ),
    Check(
        "public-interface",
        Group.NETWORK,
        "The machine has a public address",
        "One line in the settings, or a firewall switched off, and the archive is on the internet.",
        Severity.LOW,
        ("GDPR 32(1)(b)",),
        _public_interface,
    ),
    Check(
        "allowed-public-network",
        Group.NETWORK,
        "A public network may speak to the archive",
        "Nobody but your provider knows who gets an address there tomorrow.",
        Severity.HIGH,
        ("HIPAA 164.312(e)(1)", "GDPR 32(1)(b)"),
        _allowed_public,
    ),
    Check(
        "unsafe-setting",
        Group.NETWORK,
        "A setting that makes the archive less safe is on",
        "Each of them opens something that is closed for a reason.",
        Severity.HIGH,
        ("GDPR 32(1)(b)",),
        _unsafe_settings,
    ),
    Check(
        "stranger-as-proxy",
        Group.NETWORK,
        "Somebody who is no trusted proxy sends proxy fields",
        "Limits, lock-outs and the audit log go by the address; behind an unknown proxy everybody has the same.",
        Severity.MEDIUM,
        ("HIPAA 164.312(b)",),
        _strangers_as_proxies,
    ),
    Check(
        "wide-proxies",
        Group.NETWORK,
        "Too many machines are believed as proxies",
        "Whoever is believed may write any address into the audit log and get round lock-outs.",
        Severity.HIGH,
        ("HIPAA 164.312(b)",),
        _wide_proxies,
    ),
    Check(
        "settings-not-in-force",
        Group.NETWORK,
        "The settings on disk are not those in force",
        "What you read in the file is not what the archive does.",
        Severity.LOW,
        (),
        _settings_changed,
    ),
)
"""Their table."""
