"""People: accounts that are weak, old or too mighty."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Final

from leadglass.exposure.facts import Account, Facts
from leadglass.exposure.finding import Check, Fix, Found, Group, Severity
from leadglass.policy.roles import Role

_UNUSED: Final = timedelta(days=90)
_NEW: Final = timedelta(days=14)
_LOCKED: Final = timedelta(days=180)
_MOST_ADMINS: Final = 5
_PAGE: Final = "/people"


def _open(facts: Facts) -> Iterator[Account]:
    return (each for each in facts.accounts if not each.person.is_locked)


def _no_second(facts: Facts) -> Iterator[Found]:
    for account in _open(facts):
        person = account.person
        if not person.has_password or person.origin or account.has_second:
            continue
        yield Found(
            Severity.MEDIUM if person.role is Role.ADMIN else Severity.LOW,
            f"{person.name} ({person.role}) signs in with a password alone.",
            Fix(
                "Have them add a passkey or an authenticator app: they find it under their name, at the top right.",
                page="/account",
            ),
            person.name,
        )


def _never(facts: Facts) -> Iterator[Found]:
    for account in _open(facts):
        person = account.person
        if account.last_seen is None and facts.now - person.made > _NEW and facts.now - person.made <= _UNUSED:
            yield Found(
                Severity.LOW,
                f"{person.name} ({person.role}) was made on {person.made:%Y-%m-%d} and never signed in.",
                Fix("Ask whether it is wanted; if not, lock it.", f"leadglass user lock {person.name}", _PAGE),
                person.name,
            )


def _unused(facts: Facts) -> Iterator[Found]:
    for account in _open(facts):
        person = account.person
        last = account.last_seen or person.made
        if facts.now - last > _UNUSED:
            yield Found(
                Severity.MEDIUM if person.role is Role.ADMIN else Severity.LOW,
                f"{person.name} ({person.role}) has not signed in for "
                f"{(facts.now - last).days if account.last_seen else 'at least 90'} days.",
                Fix(
                    "If they have left, lock the account; it can be opened again.",
                    f"leadglass user lock {person.name}",
                    _PAGE,
                ),
                person.name,
            )


def _admins(facts: Facts) -> list[Account]:
    return [each for each in _open(facts) if each.person.role is Role.ADMIN]


def _one_admin(facts: Facts) -> Iterator[Found]:
    count = len(_admins(facts))
    if count == 1:
        yield Found(
            Severity.LOW,
            "One account alone may administer: when that person is away, nobody can lock a stolen account at the web.",
            Fix("Make a second one for whoever stands in.", "leadglass user add NAME --role admin", _PAGE),
        )


def _many_admins(facts: Facts) -> Iterator[Found]:
    count = len(_admins(facts))
    if count > _MOST_ADMINS:
        yield Found(
            Severity.MEDIUM,
            f"{count} accounts may administer.",
            Fix("Give those another role who do not look after the archive.", "leadglass user role NAME ROLE", _PAGE),
        )


def _locked(facts: Facts) -> Iterator[Found]:
    locked = [each for each in facts.accounts if each.person.is_locked]
    old = [each.person.name for each in locked if facts.now - (each.last_seen or each.person.made) > _LOCKED]
    if old:
        yield Found(
            Severity.INFO,
            f"{_counted(len(old), 'account')} {'is' if len(old) == 1 else 'are'} locked and unused for half a year: "
            f"{', '.join(old[:5])}{'' if len(old) <= 5 else ' …'}.",
            Fix("Remove what nobody will open again; the audit log keeps what was done.", "leadglass user remove NAME",
                _PAGE),
        )  # fmt: skip


def _admin_from_outside(facts: Facts) -> Iterator[Found]:
    for rule in facts.admin_groups:
        yield Found(
            Severity.MEDIUM,
            f"Whoever runs your sign-in provider makes administrators here: {rule}",
            Fix(
                "Map that group to a role that sees what it needs, and make administrators here; or keep the group "
                "small and its members known."
            ),
            rule,
        )


def _unreviewed(facts: Facts) -> Iterator[Found]:
    if facts.unreviewed:
        yield Found(
            Severity.LOW,
            f"{_counted(facts.unreviewed, 'emergency access', 'emergency accesses')} wait to be looked at.",
            Fix("Look at what was opened, and why.", "leadglass breakglass list", "/break-glass/review"),
        )


def _counted(count: int, one: str, many: str = "") -> str:
    return f"{count} {one}" if count == 1 else f"{count} {many or one + 's'}"


CHECKS: Final = (
    Check(
        "no-second-factor",
        Group.PEOPLE,
        "A password alone opens an account",
        "Passwords are guessed, reused and phished; most break-ins begin with one.",
        Severity.MEDIUM,
        ("HIPAA 164.312(d)", "GDPR 32(1)(b)"),
        _no_second,
    ),
    Check(
        "admin-from-outside",
        Group.PEOPLE,
        "A group elsewhere makes administrators here",
        "Whoever gets into that directory gets into the archive's administration too.",
        Severity.MEDIUM,
        ("HIPAA 164.312(a)(1)",),
        _admin_from_outside,
    ),
    Check(
        "account-unused",
        Group.PEOPLE,
        "An account has not been used for 90 days",
        "Nobody notices when somebody else uses it.",
        Severity.MEDIUM,
        ("HIPAA 164.312(a)(1)", "GDPR 32(1)(d)"),
        _unused,
    ),
    Check(
        "account-never-used",
        Group.PEOPLE,
        "An account was never used",
        "Its set-up link may lie in somebody's mail.",
        Severity.LOW,
        ("HIPAA 164.312(a)(1)",),
        _never,
    ),
    Check(
        "many-admins",
        Group.PEOPLE,
        "Many accounts may administer",
        "Each of them is a way to everything else.",
        Severity.MEDIUM,
        ("HIPAA 164.312(a)(1)",),
        _many_admins,
    ),
    Check(
        "one-admin",
        Group.PEOPLE,
        "One account alone may administer",
        "Access in an emergency must not hang on one person.",
        Severity.LOW,
        ("HIPAA 164.312(a)(2)(ii)",),
        _one_admin,
    ),
    Check(
        "unreviewed-emergency",
        Group.PEOPLE,
        "Emergency access was not reviewed",
        "It is given without asking because somebody looks at it afterwards.",
        Severity.LOW,
        ("HIPAA 164.312(a)(2)(ii)", "HIPAA 164.312(b)"),
        _unreviewed,
    ),
    Check(
        "account-locked",
        Group.PEOPLE,
        "Accounts are locked for long",
        "A list without dead entries is read.",
        Severity.INFO,
        ("HIPAA 164.312(a)(1)",),
        _locked,
    ),
)
"""Their table."""
