"""A made-up archive of any size: studies of people who do not exist, always the same for the same number.

Rule: what is filed in bulk here has the rows that really storing it makes; a
test proves it. The objects themselves are left out: finding, starting and
filing never look at them.

    python -m benchmarks.made_up DATA --instances 1000000      into an initialised data folder
"""

# ruff: noqa: RUF001 - letters that look alike belong to names in other scripts
import argparse
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from hashlib import sha256
from pathlib import Path
from random import Random

from leadglass import config as settings_file
from leadglass.app import App
from leadglass.audit.event import Event, Outcome
from leadglass.audit.log import MAX_BATCH, AuditLog, _Ticket
from leadglass.audit.record import fields_of
from leadglass.crypto.wrap import new_key
from leadglass.dicom.model import Attributes, JsonElement
from leadglass.dicom.writer import Writer
from leadglass.errors import Conflict
from leadglass.folder import Folder
from leadglass.parts import Parts
from leadglass.policy.action import Action
from leadglass.policy.permit import Permit
from leadglass.vault.filing import Filing
from leadglass.vault.incoming import now
from leadglass.vault.index import packed
from leadglass.vault.objects import Place
from leadglass.vault.records import Arrived, Filed
from leadglass.vault.vault import Vault
from tests.callers import permit

ROOT = "2.25.99"
EXPLICIT = "1.2.840.10008.1.2.1"
VERSION = 2
"""Of what is made up: whoever keeps some of it makes it anew when this changes."""

PER_STUDY = 10
"""Instances of a study: small, so that a million of them are as many studies as a region makes in a year."""

DAYS = 3_652
FIRST_DAY = date(2016, 1, 1)
_BATCH = 5_000
_SHELF = 4_096

_SYLLABLES = [
    "an", "bach", "berg", "dorf", "els", "feld", "gren", "hal", "ing", "jan", "ker", "land", "mark",
    "nor", "ost", "pel", "quist", "ros", "stein", "tal", "ulm", "vand", "wald", "xan", "yar", "zell",
]  # fmt: skip
_GIVEN = ["Anna", "Ben", "Clara", "David", "Eva", "Finn", "Greta", "Hugo", "Ida", "Jonas", "Karla", "Leo", "Mia"]
_SCRIPTS = [
    ("ül äm öz ńa čes ğun ñez ŏrd åk ið éla ßen", ""),
    ("ива но пет ров дми три ков ская лев ша юр ян", ""),
    ("πα δο που λου γεω ργι μα ρια νικ ολα σταυ ρος", ""),
    ("كر يم لا ني سا لم حس نو رد ما جد عم", ""),
    ("כה לו שר מי דו נע רב יו אל תמ גל חן", ""),
    ("yama kawa naka mura saki moto hara shima taka mori ishi ue", "山川中村崎本原島高森石上"),
    ("kim ho dong soo min jae hyun woo young jin seo yeon", "金洪東秀民在賢宇永眞徐延"),
]
"""Syllables of other scripts, or Latin ones with the characters for them."""
_KINDS = (
    ("CT", "1.2.840.10008.5.1.4.1.1.2", "CT Thorax"),
    ("MR", "1.2.840.10008.5.1.4.1.1.4", "MR Schädel"),
    ("CR", "1.2.840.10008.5.1.4.1.1.1", "Thorax p.a."),
    ("US", "1.2.840.10008.5.1.4.1.1.6.1", "Sono Abdomen"),
    ("DX", "1.2.840.10008.5.1.4.1.1.1.1", "Hand links"),
)


@dataclass(frozen=True, slots=True)
class Study:
    """One made-up study."""

    number: int
    uid: str
    patient_id: str
    patient_name: str
    birth_date: str
    sex: str
    date: str
    time: str
    accession: str
    kind: int

    def attributes(self, which: int) -> Attributes:
        """Give the attributes of its instance number ``which``; the second half is a series of its own."""
        modality, sop_class, description = _KINDS[self.kind]
        series = 1 + (which >= PER_STUDY // 2)
        alphabetic, *more = self.patient_name.split("=")
        name = {"Alphabetic": alphabetic} | dict(zip(("Ideographic", "Phonetic"), more, strict=False))
        return {
            "00080005": _is("CS", "ISO_IR 192"),
            "00080008": _is("CS", "ORIGINAL", "PRIMARY", "AXIAL"),
            "00080016": _is("UI", sop_class),
            "00080018": _is("UI", f"{self.uid}.{series}.{which + 1}"),
            "00080020": _is("DA", self.date),
            "00080021": _is("DA", self.date),
            "00080030": _is("TM", self.time),
            "00080050": _is("SH", self.accession),
            "00080060": _is("CS", modality),
            "00080070": _is("LO", "Phantom Instruments"),
            "00080080": _is("LO", "General Hospital"),
            "00080090": {"vr": "PN", "Value": [{"Alphabetic": "Referrer^Robin"}]},
            "00081030": _is("LO", description),
            "0008103E": _is("LO", f"{description} {series}"),
            "00081090": _is("LO", "Model One"),
            "00100010": {"vr": "PN", "Value": [name]},
            "00100020": _is("LO", self.patient_id),
            "00100030": _is("DA", self.birth_date),
            "00100040": _is("CS", self.sex),
            "00180015": _is("CS", "CHEST"),
            "00180050": {"vr": "DS", "Value": [1.5]},
            "00180060": {"vr": "DS", "Value": [120.0]},
            "00181020": _is("LO", "1.0"),
            "0020000D": _is("UI", self.uid),
            "0020000E": _is("UI", f"{self.uid}.{series}"),
            "00200010": _is("SH", f"S{self.number}"),
            "00200011": {"vr": "IS", "Value": [series]},
            "00200013": {"vr": "IS", "Value": [which + 1]},
            "00200032": {"vr": "DS", "Value": [-180.0, -180.0, float(which)]},
            "00200037": {"vr": "DS", "Value": [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]},
            "00200052": _is("UI", f"{self.uid}.99"),
            "00280030": {"vr": "DS", "Value": [0.7, 0.7]},
        }

    def encoded(self, which: int) -> bytes:
        """Give an instance as a data set, Explicit VR Little Endian: 1 kB, no pixels."""
        return Writer(EXPLICIT, ("ISO_IR 192",)).write(self.attributes(which))

    def file(self, which: int) -> bytes:
        """Give an instance as a file (PS3.10)."""
        return part10(self.attributes(which), _KINDS[self.kind][1])


def part10(attributes: Attributes, sop_class_uid: str, sop_instance_uid: str = f"{ROOT}.2") -> bytes:
    """Give a data set as a file."""
    own = attributes.get("00080018", _is("UI", sop_instance_uid))
    meta: Attributes = {
        "00020001": JsonElement(vr="OB", InlineBinary="AAE="),
        "00020002": _is("UI", sop_class_uid),
        "00020003": own,
        "00020010": _is("UI", EXPLICIT),
        "00020012": _is("UI", f"{ROOT}.1"),
    }
    head = Writer(EXPLICIT).write(meta)
    length = Writer(EXPLICIT).write({"00020000": {"vr": "UL", "Value": [len(head)]}})
    return bytes(128) + b"DICM" + length + head + Writer(EXPLICIT, ("ISO_IR 192",)).write(attributes)


def _is(vr: str, *values: str) -> JsonElement:
    return JsonElement(vr=vr, Value=list(values))


def _foreign(who: Random) -> str:
    written, characters = who.choice(_SCRIPTS)
    syllables = written.split()
    chosen = [who.randrange(len(syllables)) for _ in range(5)]
    surname, given = ("".join(syllables[each] for each in part) for part in (chosen[:3], chosen[3:]))
    name = f"{surname.capitalize()}^{given.capitalize()}"
    if characters:
        name += "=" + "^".join("".join(characters[each] for each in part) for part in (chosen[:3], chosen[3:]))
    return name


@cache
def study(number: int) -> Study:
    """Give study ``number``, the same every time; patients have one to four."""
    patient = number * 2 // 5
    who = Random(f"patient {patient}")
    surname = "".join(who.choice(_SYLLABLES) for _ in range(who.randint(3, 4))).capitalize()
    name = f"{surname}^{who.choice(_GIVEN)}"
    if patient % 13 == 5:
        name = _foreign(who)
    if patient % 2_003 == 7:
        name = f"{who.choice(('Mueller', 'MUELLER', 'Muelheim'))}^{who.choice(_GIVEN)}"
    born = date(1930, 1, 1) + timedelta(days=who.randrange(30_000))
    what = Random(f"study {number}")
    day = FIRST_DAY + timedelta(days=what.randrange(DAYS))
    return Study(
        number=number,
        # Such as devices make them: a root, a device, a time, a count.
        uid=f"{ROOT}.{what.randrange(40)}.{day:%Y%m%d}{what.randrange(86_400):05}.{number}",
        patient_id=f"{who.choice(('', 'P', 'KIS-'))}{1_000_000 + patient * 7}",
        patient_name=name,
        birth_date=f"{born:%Y%m%d}",
        sex=who.choice("FM"),
        date=f"{day:%Y%m%d}",
        time=f"{what.randrange(24):02}{what.randrange(60):02}{what.randrange(60):02}",
        accession=f"A{what.randrange(10**9):09}",
        kind=what.randrange(len(_KINDS)),
    )


def arrived(of: Study, which: int, place: Place, origin: str = "MADEUP") -> Arrived:
    """Give what the vault files of an instance."""
    attributes = of.attributes(which)
    body = of.encoded(which) if which == 0 else b""
    return Arrived(
        place=place,
        key=new_key(),
        size=len(body) or 1_000,
        digest=sha256(body or f"{of.uid} {which}".encode()).digest(),
        study_uid=of.uid,
        series_uid=f"{of.uid}.{1 + (which >= PER_STUDY // 2)}",
        sop_instance_uid=f"{of.uid}.{1 + (which >= PER_STUDY // 2)}.{which + 1}",
        sop_class_uid=_KINDS[of.kind][1],
        transfer_syntax_uid=EXPLICIT,
        patient_id=of.patient_id,
        issuer_of_patient_id="",
        origin=origin,
        received=now(),
        attributes=attributes,
        packed=packed.pack(attributes),
        frames=None,
    )


def places(seed: int) -> Iterator[Place]:
    """Give places as the archive makes them: random names, shelf after shelf."""
    random = Random(seed)
    while True:
        shelf = random.randbytes(6)
        for _ in range(_SHELF):
            yield Place(shelf, random.randbytes(16))


def file_in_bulk(vault: Vault, first: int, last: int, *, per_study: int = PER_STUDY) -> None:
    """File the studies from ``first`` to before ``last``, thousands of instances in each transaction."""
    may: Permit = permit(Action.STORE)
    where = places(first)
    studies = _BATCH // per_study

    def some(filing: Filing, start: int) -> None:
        for number in range(start, min(last, start + studies)):
            one = study(number)
            for which in range(per_study):
                outcome = filing.file(arrived(one, which, next(where)), may)
                if not isinstance(outcome, Filed):
                    raise Conflict("The made-up archive contradicts itself.")

    for start in range(first, last, studies):
        vault._parts.committer.run(lambda filing, start=start: some(filing, start))
        study.cache_clear()


def record_in_bulk(log: AuditLog, up_to: int) -> None:
    """Put events on record until there are as many, hundreds in each transaction: each about a study, in no order."""
    studies = max(1, up_to // PER_STUDY)
    done = 0
    while done < up_to:
        batch = [_Ticket(fields_of(_event((done + each) * 7_919 % studies))) for each in range(MAX_BATCH)]
        log._commit(batch)
        done = batch[-1].sequence


def _event(number: int) -> Event:
    uid = study(number).uid
    return Event(Outcome.PERMITTED, "find", "device:MADEUP", "192.0.2.1", "dimse", "made up", study_uid=uid)


@contextmanager
def parts_of(data: Path) -> Generator[Parts]:
    """Open the parts of an initialised data folder."""
    folder = Folder(data.absolute())
    with App()._unlocked(folder, settings_file.load(folder.path)) as parts:
        yield parts


def main() -> None:
    """Fill the index of a data folder."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--instances", type=int, default=100_000)
    asked = parser.parse_args()
    start = time.perf_counter()
    with parts_of(asked.data) as parts:
        file_in_bulk(parts.vault, 0, asked.instances // PER_STUDY)
    print(f"{asked.instances:,} instances in {time.perf_counter() - start:.1f} s")


if __name__ == "__main__":
    main()
