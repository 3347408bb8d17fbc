"""Demo: what a throw-away archive holds, and what one can try with it.

Rule: every command printed here is run by a test, as printed.
"""

import os
import shlex
import shutil
import socket
import sys
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

from leadglass.archive.backroom import Declared
from leadglass.dicom.part10 import read_file
from leadglass.dicom.source import Bytes
from leadglass.doors.cli.application import Application, Opened
from leadglass.doors.cli.samples import Sample, samples, to_send
from leadglass.doors.links import path_of
from leadglass.identity.device import Device
from leadglass.identity.onetime import Purpose
from leadglass.policy.roles import Role

TLS_DEVICE: Final = "DEMO"
PLAIN_DEVICE: Final = "DEMOPLAIN"
PERSON: Final = "demo"
PROGRAM: Final = "demo"
"""Name of the token that programs show."""
_TOKEN_LIFE: Final = timedelta(hours=1)

_ALLOWED: Final = ("echo", "store", "find", "get", "move", "commit")


@dataclass(frozen=True, slots=True)
class Made:
    """A prepared demo.

    Parameters
    ----------
    folder : Path
        Where the devices' certificates are, and what they fetch goes.
    data : Path
        The data folder of the archive.
    studies : tuple of Sample
        One sample of each study in it.
    instances : int
        How many instances are in it.
    tls_port, plain_port : int
        Where the two devices receive what they move.
    sign_in : str
        Path of the link that signs a browser in, once.
    """

    folder: Path
    data: Path
    studies: tuple[Sample, ...]
    instances: int
    tls_port: int
    plain_port: int
    sign_in: str

    def study(self, modality: str) -> str:
        """Give the Study Instance UID of the study of a modality."""
        return next(sample.study_uid for sample in self.studies if sample.modality == modality)


def prepare(application: Application, folder: Path, data: Path) -> Made:
    """Make the archive in ``data``, and what its two devices need in ``folder``."""
    application.initialise(data)
    tls_port, plain_port = free_port(11113), free_port(11114)
    with application.open(data) as opened:
        _enrol(opened, folder, tls_port, plain_port)
        kept = [_store(opened, sample) for sample in samples()]
        opened.archive.end(opened.caller)
        accounts = opened.open_people()
        person = accounts.people.add(opened.caller, PERSON, Role.RADIOLOGIST)
        sign_in = path_of(accounts.links.make(opened.caller, person, Purpose.SIGN_IN))
        token = opened.open_tokens().create(opened.caller, PROGRAM, Role.SERVICE, None, _TOKEN_LIFE)
        _keep_token(folder / "demo" / "token", token.secret)
    new = to_send()
    (folder / "new.dcm").write_bytes(new.file)
    for name in ("got", "got-plain"):
        (folder / name).mkdir()
    studies = {sample.study_uid: sample for sample in kept}
    return Made(folder, data, tuple(studies.values()), len(kept), tls_port, plain_port, sign_in)


def _keep_token(path: Path, secret: str) -> None:
    """Write a header field with a token, for its owner alone: a command line can be seen by everybody."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
        file.write(f"Authorization: Bearer {secret}\n")


def _enrol(opened: Opened, folder: Path, tls_port: int, plain_port: int) -> None:
    here = ("127.0.0.1", "::1")
    devices, caller = opened.devices, opened.caller
    devices.add(caller, Device.parse(TLS_DEVICE, here, _ALLOWED, host="127.0.0.1", port=tls_port))
    devices.enrol(caller, TLS_DEVICE, folder / "demo", days=1)
    tomorrow = devices.today + timedelta(days=1)
    plain = Device.parse(
        PLAIN_DEVICE, here, _ALLOWED, plaintext=True, until=tomorrow, host="127.0.0.1", port=plain_port
    )
    devices.add(caller, plain)


def _store(opened: Opened, sample: Sample) -> Sample:
    part10 = read_file(Bytes(sample.file))
    meta = part10.meta
    receiving = opened.archive.receive(
        opened.caller, Declared(meta.transfer_syntax_uid, meta.sop_class_uid, meta.sop_instance_uid, "demo")
    )
    receiving.write(sample.file[part10.dataset_offset :])
    receiving.finish()
    return sample


def free_port(wanted: int) -> int:
    """Give a TCP port on loopback that nobody uses: the wanted one, if it is."""
    for port in (wanted, 0):
        with socket.socket() as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                trial.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(trial.getsockname()[1])
    return 0


def free_endpoint(wanted: int) -> str:
    """Give a loopback address with a free port, the wanted one if it is."""
    return f"127.0.0.1:{free_port(wanted)}"


def program() -> str:
    """Say how this program is started, ready to paste."""
    started = Path(sys.argv[0])
    if started.name == "leadglass":
        found = shutil.which("leadglass")
        on_path = found is not None and Path(found).resolve() == started.resolve()
        return "leadglass" if on_path else shlex.quote(str(started.absolute()))
    return f"{shlex.quote(sys.executable)} -m leadglass"


@dataclass(frozen=True, slots=True)
class Trial:
    """Something to try: what it shows, the command, and whether it is refused."""

    title: str
    command: str
    refused: bool = False


def trials(made: Made, doors: dict[str, str]) -> tuple[Trial, ...]:
    """Give what to try, in an order that makes sense, to be run inside the demo's folder."""
    tls = doors["dicom-tls"].rsplit(":", 1)
    plain = doors["dicom"].rsplit(":", 1)
    secure = f"+tls demo/key.pem demo/cert.pem +cf demo/ca.pem -aet {TLS_DEVICE} -aec LEADGLASS"
    anonymous = f"+tla +cf demo/ca.pem -aet {TLS_DEVICE} -aec LEADGLASS"
    open_ = f"-aet {PLAIN_DEVICE} -aec LEADGLASS"
    there, plainly = f"{tls[0].strip('[]')} {tls[1]}", f"{plain[0].strip('[]')} {plain[1]}"
    keys = "-k QueryRetrieveLevel=STUDY -k 'PatientName=Phantom*' -k StudyDate -k ModalitiesInStudy -k StudyInstanceUID"
    data = f"--data {shlex.quote(str(made.data))}"
    url = f"https://{doors['https']}/dicom-web"
    curl = "curl --fail-with-body --silent --show-error --cacert demo/ca.pem"

    def study(modality: str) -> str:
        return f"-k QueryRetrieveLevel=STUDY -k StudyInstanceUID={made.study(modality)}"

    return (
        Trial("With a certificate (mutual TLS): is it there?", f"echoscu -v {secure} {there}"),
        Trial("Send an image", f"storescu -v {secure} {there} new.dcm"),
        Trial("Query", f"findscu -S {secure} {keys} {there}"),
        Trial("Fetch a study, with pynetdicom (pip install pynetdicom)", _pynetdicom(made.study("CT"), *tls)),
        Trial("Without TLS, as a device with a plaintext lane: is it there?", f"echoscu -v {open_} {plainly}"),
        Trial("Send an image", f"storescu -v {open_} {plainly} new.dcm"),
        Trial("Query", f"findscu -S {open_} {keys} {plainly}"),
        Trial("Fetch a study", f"getscu -v -S {open_} {study('MR')} -od got-plain {plainly}"),
        Trial(
            "Have a study sent to us",
            f"movescu -v -S {open_} -aem {PLAIN_DEVICE} +P {made.plain_port} {study('US')} -od got-plain {plainly}",
        ),
        Trial(
            "Have a study sent to the other device, which receives over TLS",
            f"storescp +tls demo/key.pem demo/cert.pem +cf demo/ca.pem -aet {TLS_DEVICE} -od got {made.tls_port} &\n"
            f"sleep 1; movescu -v -S {open_} -aem {TLS_DEVICE} {study('DX')} {plainly}; kill $!",
        ),
        Trial(
            "DICOMweb (the token in demo/token counts for an hour): the studies",
            f"{curl} -H @demo/token '{url}/studies?PatientName=Phantom*&includefield=StudyDescription'",
        ),
        Trial(
            "DICOMweb: send an image",
            f"{curl} -H @demo/token -H 'Content-Type: application/dicom' --data-binary @new.dcm {url}/studies",
        ),
        Trial(
            "DICOMweb: a picture",
            f"{curl} -H @demo/token -H 'Accept: image/png' -o phantom.png {url}/studies/{made.study('CT')}/rendered",
        ),
        Trial("DICOMweb, with dicomweb-client (pip install dicomweb-client)", _dicomweb(made.study("MR"), url)),
        Trial("Refused: DICOMweb without a token", f"{curl} {url}/studies", refused=True),
        Trial("Refused: TLS without a certificate", f"echoscu {anonymous} {there}", refused=True),
        Trial("Refused: a stranger", f"echoscu -aet SOMEBODY -aec LEADGLASS {plainly}", refused=True),
        Trial("What happened, and why", f"{program()} audit show {data}"),
        Trial("Is the record whole?", f"{program()} audit verify {data}"),
        Trial("Why may it?", f"{program()} policy explain --caller device:{TLS_DEVICE} --action find {data}"),
        Trial(
            "Take a study out, with a DICOMDIR",
            f"{program()} export --study {made.study('MR')} --out mr.zip {data}",
        ),
        Trial("Is everything on the disk as it was received?", f"{program()} fsck {data}"),
    )


def _pynetdicom(study_uid: str, host: str, port: str) -> str:
    return f"""python3 - <<'END'
import ssl
from pydicom.dataset import Dataset
from pynetdicom import AE, build_role, evt
from pynetdicom.sop_class import CTImageStorage, StudyRootQueryRetrieveInformationModelGet as GET

def keep(event):
    event.dataset.file_meta = event.file_meta
    event.dataset.save_as(f"got/{{event.dataset.InstanceNumber:04}}.dcm", enforce_file_format=True)
    return 0x0000

tls = ssl.create_default_context(cafile="demo/ca.pem")
tls.load_cert_chain("demo/cert.pem", "demo/key.pem")
ae = AE("{TLS_DEVICE}")
ae.add_requested_context(GET)
ae.add_requested_context(CTImageStorage)
association = ae.associate(
    "{host.strip("[]")}", {port}, ae_title="LEADGLASS", tls_args=(tls, "{host.strip("[]")}"),
    ext_neg=[build_role(CTImageStorage, scp_role=True)], evt_handlers=[(evt.EVT_C_STORE, keep)],
)
study = Dataset()
study.QueryRetrieveLevel = "STUDY"
study.StudyInstanceUID = "{study_uid}"
for status, _ in association.send_c_get(study, GET):
    print(status.get("NumberOfCompletedSuboperations", 0), "images in got/")
association.release()
END"""


def _dicomweb(study_uid: str, url: str) -> str:
    return f"""python3 - <<'END'
import requests
from dicomweb_client.api import DICOMwebClient

session = requests.Session()
session.trust_env = False  # or REQUESTS_CA_BUNDLE counts for more than the next line
session.verify = "demo/ca.pem"
session.headers["Authorization"] = open("demo/token").read().removeprefix("Authorization: ").strip()
client = DICOMwebClient("{url}", session=session)
for study in client.search_for_studies():
    print(study["0020000D"]["Value"][0], study["00080061"]["Value"], study["00100010"]["Value"][0]["Alphabetic"])
series = client.search_for_series("{study_uid}")[0]["0020000E"]["Value"][0]
print(len(client.retrieve_series("{study_uid}", series)), "images fetched")
END"""


def what_to_try(made: Made, doors: dict[str, str]) -> str:
    """Give the text that the demo prints."""
    lines = ["", f"{made.instances} instances in {len(made.studies)} studies, all of phantoms:"]
    lines += [f"  {sample.modality}  {sample.description:<26} {sample.patient}" for sample in made.studies]
    lines += [
        "",
        "To try in another terminal (DCMTK, pynetdicom, curl, dicomweb-client):",
        "",
        f"cd {shlex.quote(str(made.folder))}",
    ]
    for trial in trials(made, doors):
        lines += ["", f"# {trial.title}", trial.command]
    if "https" in doors:  # at the end, where it is still in sight
        lines += ["", "To look at the images, open this link in a browser of this machine. It signs you in, once."]
        lines += ["The browser warns that it does not know the demo's certificate: go on there.", ""]
        lines += [f"  https://{doors['https']}{made.sign_in}"]
    lines += ["", "Ctrl-C stops it and removes everything."]
    return "\n".join(lines)
