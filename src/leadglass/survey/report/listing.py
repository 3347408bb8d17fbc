"""Listing: entries of the register for programs."""

from leadglass.survey.entries import Asset, Entry


def entry_as_json(entry: Entry, asset: Asset | None) -> dict[str, object]:
    """Give an entry of the register, and whose it is, for a JSON encoder."""
    return {
        "finding": entry.finding,
        "standing": entry.standing.value,
        "severity": entry.severity.value,
        "exposure": entry.exposure.name,
        "worst": entry.worst.name,
        "vantage": entry.vantage,
        "check": entry.check,
        "address": entry.address or None,
        "port": entry.port,
        "transport": entry.transport,
        "title": entry.title,
        "unit": asset.unit if asset else "",
        "owner": asset.owner if asset else "",
        "contact": asset.contact if asset else "",
        "since": entry.since.isoformat(),
        "first_seen": entry.first_seen.isoformat(),
        "last_seen": entry.last_seen.isoformat(),
        "looked": entry.looked.isoformat(),
        "due": entry.due.isoformat() if entry.due else None,
        "accepted_until": entry.accepted_until.isoformat() if entry.accepted_until else None,
        "reason": entry.reason,
    }
