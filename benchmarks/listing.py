"""The study list over a large index: pages and searches as a browser asks for them, at the web door, with a session.

Rule: a question is asked as the page asks it: a form is sent, its words are
remembered by the server, and the list that is then loaded is what is timed, from
the first byte sent to the last one read, TLS, session, record and page included.
Studies do not arrive in the order of their dates: rows that stand together in the
list stand apart in the index, as after a migration.

    python -m benchmarks.listing FOLDER --studies 100000

The folder keeps what is made up for the next time.
"""

import random
import sys
import time
from dataclasses import replace
from pathlib import Path

from benchmarks.made_up import arrived, parts_of, places, study
from leadglass.dicom.model import Attributes, JsonElement
from leadglass.errors import Conflict
from leadglass.policy.action import Action
from leadglass.vault.filing import Filing
from leadglass.vault.index import packed
from leadglass.vault.objects import Place
from leadglass.vault.records import Arrived, Filed
from tests.callers import permit
from tests.peers.leadglass import Leadglass

FREE = "[brakes.people]\nqueries_per_minute = 100000\nlisted_per_hour = 10000000\nlisted_per_day = 10000000\n"
"""Nobody asks so much in earnest; the brakes count all the same."""

AIM = 200.0
"""Milliseconds that 95 of 100 answers may take at most."""

_BATCH = 2_500
_WHAT = {
    "CT": ("Thorax", "Abdomen", "Schädel nativ", "Thorax/Abdomen mit KM", "Becken", "Angiographie Aorta"),
    "MR": ("Schädel", "Knie rechts", "Knie links", "LWS", "HWS", "Abdomen MRCP", "Prostata"),
    "CR": ("Thorax p.a.", "Thorax liegend", "Hand links", "Hand rechts", "OSG", "Becken a.p."),
    "US": ("Sono Abdomen", "Sono Hals", "Sono Schilddrüse", "Duplex Carotis"),
    "DX": ("Thorax p.a.", "Schulter", "Ellenbogen", "Wirbelsäule ganz"),
    "MG": ("Mammographie beidseits", "Mammographie Screening"),
    "ECG": ("Ruhe-EKG",),
    "RTSTRUCT": ("Bestrahlungsplanung",),
}
_OFTEN = (25.0, 15.0, 25.0, 15.0, 15.0, 5.0, 0.05, 0.01)
"""How often each, in a hundred: some are rare."""


def made(number: int, which: int, place: Place) -> Arrived:
    """Make up one instance of a study."""
    one = study(number)
    chance = random.Random(f"what {number}")
    modality = chance.choices(list(_WHAT), _OFTEN)[0]
    description = f"{modality} {chance.choice(_WHAT[modality])}"
    if number % 5_003 == 11:
        description += f" Sonderfall{number % 7}"
    own: Attributes = {
        "00080060": JsonElement(vr="CS", Value=[modality]),
        "00081030": JsonElement(vr="LO", Value=[description]),
    }
    attributes = one.attributes(which) | own
    return replace(arrived(one, which, place), attributes=attributes, packed=packed.pack(attributes))


def fill(leadglass: Leadglass, studies: int) -> None:
    """Make up an archive, once: a study has two instances."""
    filled = leadglass.data / "filled"
    if filled.exists():
        return
    leadglass.do("init")
    where, may = places(7), permit(Action.STORE)

    def some(filing: Filing, start: int) -> None:
        for number in range(start, min(studies, start + _BATCH)):
            for which in range(2):
                if not isinstance(filing.file(made(number, which, next(where)), may), Filed):
                    raise Conflict("The made-up archive contradicts itself.")

    began = time.perf_counter()
    with parts_of(leadglass.data) as parts:
        for start in range(0, studies, _BATCH):
            parts.vault._parts.committer.run(lambda filing, start=start: some(filing, start))
            study.cache_clear()
            if start % 50_000 == 0:
                print(f"{start:>9,} studies, {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)
    filled.touch()


if __name__ == "__main__":
    folder, count = Path(sys.argv[1]), int(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    fill(Leadglass(folder), count)
