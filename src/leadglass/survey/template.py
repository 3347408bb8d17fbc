"""The scope file that ``survey init`` writes: every key, with what it is for."""

from datetime import date, timedelta

from leadglass.survey.scope import DEFAULT_PORTS

_TEXT = """# What this survey may look at. Nothing is sent without it, and nothing outside of it.
# Fill in the three lines that are empty, the networks, and keep this file with the permission in writing.

[survey]
owner = ""            # whose network this is
contact = ""          # whom to call when somebody wonders about it: a name, a telephone number, an address
authorised_by = ""    # who allowed it
valid_from = {first}
valid_until = {last}
level = 2             # 0 reads files, sends nothing · 1 asks what something is · 2 proves that strangers are answered,
                      # by questions no patient is an answer to · 3 also tries default passwords, counts studies,
                      # and looks whether files on shares are DICOM
vantage = "internal"  # from where you look: "internal", "partner" (a line to another house) or "internet"

[scope]
networks = []         # such as "192.0.2.0/24"; none wider than /16
hosts = []            # such as "pacs.example.org"; looked up once, when a run begins
exclude = []          # never asked, whatever stands above: an old modality that must not be disturbed
ports = {ports}

[hours]               # in this machine's time; outside of them a run waits
# days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
# from = "20:00"
# until = "06:00"

[rate]
connections_per_second = 20.0   # of all hosts together
seconds_between = 1.0           # between two connections to one host; old devices are fragile
hosts_at_once = 128             # connections at one time; who does not answer takes five seconds of one
"""


def template(today: date) -> str:
    """Give the text of a new scope file, in force for a month."""
    return _TEXT.format(first=today, last=today + timedelta(days=30), ports=list(DEFAULT_PORTS))
