"""Is DICOM spoken in the clear beside TLS: then TLS protects nobody who does not ask for it."""

from leadglass.survey.check import Check, Known, Visit
from leadglass.survey.findings import Exposure
from leadglass.survey.gate import Unreachable
from leadglass.survey.scope import Level
from leadglass.survey.speech import dicom

_NO_DICOM = frozenset({21, 22, 80, 443, 445, 873, 2049, 8042, 8080, 8443})
_MOST = 3


async def run(visit: Visit) -> None:
    """Ask at the host's other ports in the scope, in the clear, until one answers."""
    others = [port for port in visit.gate.scope.ports if port not in _NO_DICOM and port != visit.port]
    for port in others[:_MOST]:
        try:
            async with visit.gate.connect(visit.address, port, visit.check.id) as line:
                speaker = dicom.Speaker(line)
                answer = await speaker.associate(
                    dicom.random_title(), dicom.random_title(), dicom.contexts(dicom.VERIFICATION)
                )
                await speaker.release()
        except Unreachable:
            continue
        if answer.is_dicom:
            visit.report(
                Exposure.E1,  # how far the other port goes is its own finding
                {"port_in_clear": port, "answer": answer.nature.value},
                not_tested=(
                    f"Other ports than the first {_MOST} of the scope that may be DICOM's.",
                    "Whether both lead into the same archive.",
                ),
            )
            return


def _applies(known: Known, _port: int) -> bool:
    return (known.dicom is not None and known.dicom.in_tls) or known.tls is not None


CHECK = Check(
    id="dicom-clear",
    title="DICOM is spoken in the clear beside TLS, on another port of the same host.",
    level=Level.IDENTIFY,
    sends="At up to three other ports of the host in the scope: one A-ASSOCIATE-RQ for Verification, a release.",
    fixes=("dicom-tls-only", "firewall-dicom"),
    controls=("PS3.15 B.12", "HIPAA 164.312(e)(1)", "GDPR 32(1)(a)", "NIST CSF PR.DS-02", "IEC 80001-2-2 TXCF"),
    applies=_applies,
    run=run,
)
