"""Sections: what each section of ``leadglass.toml`` may say, with unit, default and reason beside each field.

Rule: what makes the archive less safe has a name that begins with ``unsafe_``.
"""

from leadglass.sections.base import IpNetwork
from leadglass.sections.doors import Listen, Network, Web, Webhooks, Wire
from leadglass.sections.keeping import Backup, Commitment, Ingest, Key, Work
from leadglass.sections.people import Introspection, Oidc, People, Shares, Tokens
from leadglass.sections.watching import Audit, AuditCollector, Brakes, BrakesOfPeople, BrakesOfTokens, Exposure, Survey

__all__ = [
    "Audit",
    "AuditCollector",
    "Backup",
    "Brakes",
    "BrakesOfPeople",
    "BrakesOfTokens",
    "Commitment",
    "Exposure",
    "Ingest",
    "Introspection",
    "IpNetwork",
    "Key",
    "Listen",
    "Network",
    "Oidc",
    "People",
    "Shares",
    "Survey",
    "Tokens",
    "Web",
    "Webhooks",
    "Wire",
    "Work",
]
