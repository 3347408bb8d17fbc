"""What may be told of people, programs and links, and of who else vouches for them."""

from dataclasses import dataclass

from leadglass.sections.base import limit, seconds


@dataclass(frozen=True, slots=True)
class People:
    """People who sign in at a browser."""

    session_idle: float = seconds(1_800.0, 60, 43_200)
    """Seconds for which nothing may be asked before somebody is signed out. Half an
    hour: a break; longer, and an unattended screen is anybody's."""

    session_longest: float = seconds(43_200.0, 600, 7 * 86_400)
    """Seconds after which somebody is signed out in any case. Twelve hours: a shift."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """API tokens: what programs prove themselves with."""

    longest_days: int = limit(90, 1, 366)
    """Days for which a token may be made to count. 90: a lost one ends within a
    quarter; who needs more renews it, which a script can do."""


@dataclass(frozen=True, slots=True)
class Shares:
    """Links by which somebody without an account sees some studies, or sends some in."""

    practice: str = ""
    """What recipients are told of who shares with them: the name of the practice. Empty: nothing is said."""

    default_days: int = limit(7, 1, 90)
    """Days for which a link counts when its maker says nothing. 7: whoever asked for images looks within a week."""

    longest_days: int = limit(90, 1, 366)
    """Days for which a link may be made to count. 90: a treatment's; a link that never ends is forgotten, not kept."""

    session_idle: float = seconds(1_800.0, 60, 43_200)
    """Seconds for which a recipient may ask for nothing before the link has to be opened again."""

    wrong_pins: int = limit(10, 3, 100)
    """Wrong PINs, shown with the right link, at which it ends. 10: of a million there are, a guesser tries ten."""


@dataclass(frozen=True, slots=True)
class Oidc:
    """Single sign-on: an OpenID provider that says who people are. Needs ``[web] address``."""

    issuer: str = ""
    """Its issuer, exactly as it says it itself: an https address. Empty: there is none."""

    client_id: str = ""
    """The archive's client there, of the kind web application (authorization code). Its
    redirect address is the one in ``[web] address`` with ``/sign-in/oidc/callback`` behind."""

    client_secret_file: str = ""
    """File (mode 0600) with the client's secret: a full path, or the name of a systemd
    credential. Empty: a public client."""

    label: str = "Sign in with your organisation's account"
    """What the button on the sign-in page says."""

    scopes: tuple[str, ...] = ("profile",)
    """What is asked for besides `openid`. Some providers want `groups` here."""

    name_claim: str = "preferred_username"
    """The claim that says what somebody is called; who it is, the subject says."""

    groups_claim: str = "groups"
    """The claim that lists somebody's groups; dots stand between the names of nested ones,
    as in `realm_access.roles`."""

    groups: tuple[str, ...] = ()
    """Which groups are which roles: `GROUP -> ROLE`, or `GROUP -> ROLE SCOPE …`, as in
    `gps-north -> referrer label=north`. The first that fits names the role. None: nobody is let in."""

    authority: str = ""
    """PEM file with the authorities that may vouch for the provider. Empty: those of the operating system."""


@dataclass(frozen=True, slots=True)
class Introspection:
    """Bearer tokens of another authorization server, for SMART-style clients: it is asked what each is worth."""

    endpoint: str = ""
    """Its introspection endpoint (RFC 7662): an https address. Empty: only the archive's own tokens count."""

    client_id: str = ""
    """How the archive is called there."""

    client_secret_file: str = ""
    """File (mode 0600) with what proves it: a full path, or the name of a systemd credential."""

    audience: str = ""
    """Whom a token has to be for (`aud`). Needed: one that was given to another program must not count here."""

    issuer: str = ""
    """Who has to have made it (`iss`). Empty: the server is trusted to know."""

    scopes: tuple[str, ...] = ()
    """Which scopes are which roles: `SCOPE -> ROLE`, or with studies behind, as in
    `patient/ImagingStudy.read -> referrer patient={patient}`. The first that fits names
    the role. None: nobody is let in."""

    patient_claim: str = ""
    """Which member of its answer is the Patient ID that stands for `{patient}`. Empty: none, and such scopes cover
    nothing. The `patient` of SMART is an id of a FHIR server; name it only where that is the Patient ID too."""

    authority: str = ""
    """PEM file with the authorities that may vouch for the server. Empty: those of the operating system."""
