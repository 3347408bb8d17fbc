"""Strangers on the web door, each with a token that fits its work, and all of them where they have no business.

dicomweb-client of Python and of JavaScript, Orthanc's DICOMweb plugin,
wsidicom, highdicom and curl. What they show one by one of storing, retrieving
and pictures is in ``test_dicomweb_store``, ``_retrieve`` and ``_rendered``; here
each goes its whole way, and one table says who of them sees what.
"""

import io
import json
import shutil
import warnings
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, cast

import highdicom
import numpy as np
import pytest
import requests
from dicomweb_client.web import DICOMwebClient
from numpy.typing import NDArray
from PIL import Image
from pydicom import config
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.filereader import dcmread  # pyright: ignore[reportUnknownVariableType]
from pydicom.sr.codedict import codes
from pydicom.uid import ExplicitVRLittleEndian, JPEGBaseline8Bit, RLELossless, generate_uid
from wsidicom import WsiDicom, WsiDicomWebClient
from wsidicom.errors import WsiDicomNotFoundError

from tests.peers.dataset import elements
from tests.peers.node import JsWeb
from tests.peers.orthanc import Json, Orthanc, orthanc
from tests.peers.running import run
from tests.peers.web import Web, serving

CT = "pydicom/CT_small.dcm"
RLE = "pydicom/MR_small_RLE.dcm"
SLIDE = "highdicom/sm_image.dcm"
AS_STORED = (("application/dicom", "*"),)
NAME = "Noether^Emmy"
"""Whose studies these are, for all who may know."""


@pytest.fixture(autouse=True)
def lenient(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the strangers read what they read: what they say of the corpus's values is no matter of ours."""
    monkeypatch.setattr(config.settings, "reading_validation_mode", config.IGNORE)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@dataclass(frozen=True, slots=True)
class Stage:
    """An archive with a slide in it, tokens, and what the table is about."""

    web: Web
    shown: Dataset
    tokens: dict[str, str | None]

    @property
    def url(self) -> str:
        return f"{self.web.url}/dicom-web"

    @contextmanager
    def session(self, who: str) -> Generator[requests.Session]:
        """Give a session of requests, with the token of somebody."""
        with requests.Session() as session:
            session.verify, session.trust_env = str(self.web.authority), False
            if self.tokens[who] is not None:
                session.headers["Authorization"] = f"Bearer {self.tokens[who]}"
            yield session

    @contextmanager
    def client(self, who: str) -> Generator[Any]:
        """Give dicomweb-client of Python."""
        with self.session(who) as session:
            yield DICOMwebClient(self.url, session=session, timeout=60)

    def js(self, who: str) -> JsWeb:
        """Give dicomweb-client of JavaScript."""
        return JsWeb(self.url, self.web.authority, self.tokens[who])

    def server(self, who: str) -> Json:
        """Give what Orthanc has to know of us."""
        token = self.tokens[who]
        fields: dict[str, Json] = {} if token is None else {"Authorization": f"Bearer {token}"}
        return {"Url": f"{self.url}/", "HttpHeaders": fields}


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory, corpus: Path) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("strangers")
    shown = fresh(corpus / SLIDE)
    shown.save_as(folder / "slide.dcm")
    with serving(folder) as web:
        web.leadglass.do("import", folder / "slide.dcm")
        tokens = {role: web.token(role) for role in ("technologist", "radiologist", "researcher", "service")}
        elsewhere = web.token("referrer", name="elsewhere", scope=("study=1.2.3",))
        yield Stage(web, shown, {**tokens, "elsewhere": elsewhere, "nobody": None})


def read(source: Path | bytes | object) -> Any:
    """Read a file, or what a stranger gave as one."""
    return cast("Any", dcmread)(io.BytesIO(source) if isinstance(source, bytes) else source)


def fresh(path: Path, study: str = "") -> Any:
    """Give an instance of the corpus under UIDs that nobody has seen, as one of Emmy Noether's."""
    made = read(path)
    made.StudyInstanceUID = study or generate_uid()
    made.SeriesInstanceUID, made.SOPInstanceUID = generate_uid(), generate_uid()
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
    made.PatientName, made.PatientID = NAME, "1882"
    return made


def names(one: Any) -> tuple[str, str, str]:
    return one.StudyInstanceUID, one.SeriesInstanceUID, one.SOPInstanceUID


def js_names(one: Any) -> dict[str, object]:
    return dict(zip(("studyInstanceUID", "seriesInstanceUID", "sopInstanceUID"), map(str, names(one)), strict=True))


def saved(made: Any, path: Path) -> Path:
    made.save_as(path)
    return path


def is_same(one: Any, other: Any) -> bool:
    """Say whether two data sets hold the same elements."""
    return {e.tag: e.value for e in one} == {e.tag: e.value for e in other}


def pixels(one: Any, frame: bytes) -> NDArray[Any]:
    """Give a frame in the shape and type that pydicom gives it."""
    array = one.pixel_array
    return np.frombuffer(frame, array.dtype).reshape(array.shape[1:] if one.get("NumberOfFrames", 1) > 1 else ())


def picture(data: bytes) -> tuple[str | None, tuple[int, int]]:
    with Image.open(io.BytesIO(data)) as opened:
        return opened.format, opened.size


# --- dicomweb-client, Python -----------------------------------------------------------------------------------------


def test_dicomweb_client_of_python_goes_its_whole_way(stage: Stage, corpus: Path) -> None:
    ct = fresh(corpus / CT)
    mr, slide = (fresh(corpus / name, ct.StudyInstanceUID) for name in (RLE, SLIDE))
    study = ct.StudyInstanceUID
    with stage.client("technologist") as client:
        stored = client.store_instances([ct, mr, slide], study_instance_uid=study)
        assert [item.ReferencedSOPInstanceUID for item in stored.ReferencedSOPSequence] == [
            one.SOPInstanceUID for one in (ct, mr, slide)
        ]

        [found] = client.search_for_studies(search_filters={"StudyInstanceUID": study}, fields=["StudyDescription"])
        assert Dataset.from_json(found).NumberOfStudyRelatedInstances == 3
        series = client.search_for_series(study, search_filters={"Modality": "MR"})
        assert [one["0020000E"]["Value"] for one in series] == [[mr.SeriesInstanceUID]]
        every = client.search_for_instances(study, fuzzymatching=True, search_filters={"PatientName": "emmy noeter"})
        assert {one["00080018"]["Value"][0] for one in every} == {one.SOPInstanceUID for one in (ct, mr, slide)}

        for one in client.iter_study(study, media_types=AS_STORED):
            assert is_same(one, next(given for given in (ct, mr, slide) if given.SOPInstanceUID == one.SOPInstanceUID))
        for metadata in client.retrieve_study_metadata(study):
            given = next(one for one in (ct, mr, slide) if [one.SOPInstanceUID] == metadata["00080018"]["Value"])
            assert (name_in(metadata["00100010"]), metadata["00280010"]["Value"]) == (NAME, [given.Rows])
            [bulk] = client.iter_bulkdata(metadata["7FE00010"]["BulkDataURI"])
            assert bulk.removesuffix(b"\xfe\xff\xdd\xe0\0\0\0\0") == given.PixelData  # ends a sequence of fragments
        frames = list(client.iter_instance_frames(*names(slide), list(range(1, 26)), media_types=("image/jls",)))
        assert len(frames) == 25
        frames = client.retrieve_instance_frames(*names(slide), list(range(25, 0, -1)))
        for number, frame in zip(range(25, 0, -1), frames, strict=True):
            assert np.array_equal(pixels(slide, frame), slide.pixel_array[number - 1])
        rendered = client.retrieve_instance_rendered(*names(ct), media_types=("image/png",))
        assert picture(rendered) == ("PNG", (128, 128))

        client.delete_study(study)
        assert client.search_for_studies(search_filters={"StudyInstanceUID": study}) == []
        with pytest.raises(requests.HTTPError, match="404"):
            client.retrieve_study(study)


# --- dicomweb-client, JavaScript -------------------------------------------------------------------------------------


def test_dicomweb_client_of_javascript_goes_its_whole_way(stage: Stage, corpus: Path, tmp_path: Path) -> None:
    ct, slide = fresh(corpus / CT), fresh(corpus / SLIDE)
    files = [str(saved(one, tmp_path / f"{number}.dcm")) for number, one in enumerate((ct, slide))]
    of_ct, of_slide = js_names(ct), js_names(slide)
    js = stage.js("radiologist")
    answer, studies, series, instances, [metadata] = cast(
        "Any",
        js(
            ("storeInstances", {"files": files}),
            ("searchForStudies", {"queryParams": {"StudyInstanceUID": ct.StudyInstanceUID}}),
            ("searchForSeries", {**of_ct, "queryParams": {"Modality": "CT"}}),
            ("searchForInstances", of_ct),
            ("retrieveInstanceMetadata", of_ct),
        ),
    )
    assert [item["00081155"]["Value"] for item in json.loads(answer)["00081199"]["Value"]] == [
        [ct.SOPInstanceUID],
        [slide.SOPInstanceUID],
    ]
    assert [one["00100010"]["Value"] for one in studies] == [[{"Alphabetic": NAME}]]
    assert [one["0020000E"]["Value"] for one in series] == [[ct.SeriesInstanceUID]]
    assert [one["00080018"]["Value"] for one in instances] == [[ct.SOPInstanceUID]]
    bulk = {"BulkDataURI": metadata["7FE00010"]["BulkDataURI"]}

    png = {"mediaTypes": [{"mediaType": "image/png"}]}
    jls = {"mediaTypes": [{"mediaType": "image/jls", "transferSyntaxUID": "1.2.840.10008.1.2.4.80"}]}
    got = cast(
        "Any",
        js(
            ("retrieveStudyMetadata", of_ct),
            ("retrieveSeriesMetadata", of_ct),
            ("retrieveInstance", of_ct),
            ("retrieveSeries", of_ct),
            ("retrieveStudy", of_ct),
            ("retrieveInstanceFrames", {**of_slide, "frameNumbers": "25,1"}),
            ("retrieveInstanceFrames", {**of_slide, "frameNumbers": "7", **jls}),
            ("retrieveBulkData", bulk),
            ("retrieveBulkData", {**bulk, "byteRange": [10, 99]}),
            ("retrieveInstanceRendered", {**of_ct, **png}),
            ("retrieveInstanceFramesRendered", {**of_slide, "frameNumbers": "2", **png}),
            ("retrieveInstanceThumbnail", of_ct),
        ),
    )
    of_study, of_series, instance, [in_series], [in_study], two, [compressed], [whole], [part], *pictures = got
    assert of_study == of_series == [metadata]
    assert instance == in_series == in_study
    assert is_same(read(instance), ct)
    assert [bytes(one) for one in two] == [slide.pixel_array[24].tobytes(), slide.pixel_array[0].tobytes()]
    assert compressed.startswith(b"\xff\xd8")
    assert (whole, part) == (ct.PixelData, ct.PixelData[10:100])
    shown = [cast("bytes", one[0] if isinstance(one, list) else one) for one in pictures]
    assert [picture(one) for one in shown] == [
        ("PNG", (128, 128)),
        ("PNG", (10, 10)),
        ("JPEG", (128, 128)),
    ]
    [alone], [frame] = cast(
        "Any",
        js(("retrieveBulkData", bulk), ("retrieveInstanceFrames", {**of_slide, "frameNumbers": "3"}),
           singlepart="bulkdata,octet-stream"),
    )  # fmt: skip
    assert (alone, frame) == (ct.PixelData, slide.pixel_array[2].tobytes())


# --- Orthanc's DICOMweb plugin ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def plugin(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    """Run an Orthanc that knows the archive under the name of each token."""
    servers = {who: stage.server(who) for who in stage.tokens}
    trusting: dict[str, Json] = {"HttpsCACertificates": str(stage.web.authority), "HttpsVerifyPeers": True}
    with orthanc(tmp_path_factory.mktemp("orthanc"), {}, dicomweb={"Servers": servers}, more=trusting) as peer:
        yield peer


def test_orthanc_pushes_queries_and_fetches_back(stage: Stage, plugin: Orthanc, corpus: Path, tmp_path: Path) -> None:
    given = {one.SOPInstanceUID: one for one in (fresh(corpus / name) for name in (CT, RLE, SLIDE))}
    paths = {uid: saved(one, tmp_path / uid) for uid, one in given.items()}
    sent = [plugin.upload(path) for path in paths.values()]
    status, answer = plugin.post("/dicom-web/servers/service/stow", {"Resources": list(sent), "Synchronous": True})
    assert (status, cast("Any", answer)["InstancesCount"]) == (200, "3")
    plugin.forget()

    for level, key, tag in (
        ("/studies", "StudyInstanceUID", "0020000D"),
        ("/series", "SeriesInstanceUID", "0020000E"),
        ("/instances", "SOPInstanceUID", "00080018"),
    ):
        for one in given.values():
            asked: Json = {"Uri": level, "Arguments": {key: str(one[key].value)}}
            status, found = plugin.post("/dicom-web/servers/service/qido", asked)
            assert (status, [each[tag]["Value"] for each in cast("Any", found)]) == (200, [one[key].value])

    resources: list[Json] = [{"Study": one.StudyInstanceUID} for one in given.values()]
    assert plugin.post("/dicom-web/servers/service/retrieve", {"Resources": resources, "Synchronous": True})[0] == 200
    assert len(plugin.instances()) == 3
    for each in plugin.instances():
        (tmp_path / "back").write_bytes(plugin.file(each))
        assert elements(tmp_path / "back") == elements(paths[read(tmp_path / "back").SOPInstanceUID])

    ct = next(iter(given.values()))
    place = "/studies/{}/series/{}/instances/{}".format(*names(ct))
    status, body = plugin.raw(
        "POST", "/dicom-web/servers/service/get", json.dumps({"Uri": f"{place}/metadata"}).encode()
    )
    assert (status, json.loads(body)[0]["00080018"]["Value"]) == (200, [ct.SOPInstanceUID])
    status, body = plugin.raw(
        "POST", "/dicom-web/servers/service/get", json.dumps({"Uri": f"{place}/rendered"}).encode()
    )
    assert (status, picture(body)) == (200, ("JPEG", (128, 128)))


# --- wsidicom --------------------------------------------------------------------------------------------------------


TILE = 128


@pytest.fixture(scope="module")
def pyramid(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, NDArray[np.uint8]]:
    """Make a slide of 700 x 600 in JPEG tiles; wsidicom makes its smaller levels. Gives its folder and its picture."""
    rows, columns = np.mgrid[:600, :700]
    shown = np.stack([columns * 255 // 700, rows * 255 // 600, (columns // 16 + rows // 16) % 2 * 200], -1)
    shown = shown.astype(np.uint8)
    padded = np.zeros((640, 768, 3), np.uint8)
    padded[:600, :700] = shown
    tiles: list[bytes] = []
    for top in range(0, 640, TILE):
        for left in range(0, 768, TILE):
            tile = io.BytesIO()
            Image.fromarray(padded[top : top + TILE, left : left + TILE]).save(tile, "jpeg", quality=95, subsampling=0)
            tiles.append(tile.getvalue())
    made = fresh(corpus / SLIDE)
    made.Rows = made.Columns = TILE
    made.TotalPixelMatrixRows, made.TotalPixelMatrixColumns, made.NumberOfFrames = 600, 700, len(tiles)
    made.PhotometricInterpretation, made.PixelData = "YBR_FULL_422", encapsulate(tiles)
    made["PixelData"].is_undefined_length = True
    made.LossyImageCompression, made.LossyImageCompressionMethod = "01", "ISO_10918_1"
    made.LossyImageCompressionRatio = "10"
    made.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    folder = tmp_path_factory.mktemp("pyramid")
    saved(made, folder / "base.dcm")
    (folder / "all").mkdir()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with WsiDicom.open(folder / "base.dcm") as base:
            cast("Any", base).save(folder / "all", add_missing_levels=True)
    return folder / "all", shown


def test_wsidicom_reads_regions_of_a_slide_at_every_level(
    stage: Stage, pyramid: tuple[Path, NDArray[np.uint8]]
) -> None:
    folder, shown = pyramid
    levels = {int(one.TotalPixelMatrixColumns): one for one in (read(path) for path in folder.iterdir())}
    assert sorted(levels) == [88, 175, 350, 700]
    base = levels[700]
    with ExitStack() as stack:
        client = stack.enter_context(stage.client("service"))
        client.store_instances(list(levels.values()))
        local = stack.enter_context(WsiDicom.open(folder))
        for who in ("radiologist", "researcher"):
            source = WsiDicomWebClient(stack.enter_context(stage.client(who)))
            slide = stack.enter_context(WsiDicom.open_web(source, base.StudyInstanceUID, base.SeriesInstanceUID))
            assert [level.size.width for level in slide.levels] == [700, 350, 175, 88]
            for level, width in ((0, 700), (1, 350), (2, 175), (3, 88)):
                matrix = stitched(levels[width])
                left, top = width // 7, width // 8
                region = np.asarray(slide.read_region((left, top), level, (width // 2, width // 2)))
                same = np.asarray(local.read_region((left, top), level, (width // 2, width // 2)))
                assert np.array_equal(region, same)
                decoded = matrix[top : top + width // 2, left : left + width // 2].astype(int)
                assert np.abs(region - decoded).max() <= 2, "two decoders of JPEG round apart"
            region = np.asarray(slide.read_region((100, 90), 0, (300, 200))).astype(int)
            assert np.abs(region - shown[90:290, 100:400]).max() < 8, "what JPEG loses"


def stitched(level: Any) -> NDArray[Any]:
    """Put the frames that pydicom decodes together."""
    across = -(-level.TotalPixelMatrixColumns // TILE)
    frames = level.pixel_array.reshape(-1, TILE, TILE, 3)
    rows = [np.concatenate(frames[start : start + across], 1) for start in range(0, len(frames), across)]
    return np.concatenate(rows, 0)[: level.TotalPixelMatrixRows, : level.TotalPixelMatrixColumns]


# --- highdicom -------------------------------------------------------------------------------------------------------


def test_what_highdicom_makes_is_stored_and_highdicom_again(stage: Stage, corpus: Path, tmp_path: Path) -> None:
    paths = sorted((corpus / "series" / "mr_t1_defaced").glob("*.dcm"))[:3]
    made = objects_of([read(path) for path in paths])
    with stage.client("technologist") as client:
        client.store_instances(list(made.values()))
        back: dict[str, Any] = {
            kind: client.retrieve_instance(*names(one), media_types=AS_STORED) for kind, one in made.items()
        }
        decoded = client.retrieve_instance(*names(made["fractional"]), media_types=("application/dicom",))
        frames = client.retrieve_instance_frames(*names(made["fractional"]), [1, 2, 3])
        [values] = client.retrieve_instance_frames(*names(made["map"]), [2])
        found = client.search_for_instances(search_filters={"StudyInstanceUID": made["report"].StudyInstanceUID})
    assert {one["00080018"]["Value"][0] for one in found} == {one.SOPInstanceUID for one in made.values()}
    for kind, one in made.items():
        assert elements(saved(back[kind], tmp_path / "back")) == elements(saved(one, tmp_path / kind)), kind

    for kind in ("binary", "fractional", "labels"):
        segmentation = highdicom.seg.Segmentation.from_dataset(back[kind])
        assert np.array_equal(segmentation.pixel_array, made[kind].pixel_array)
        assert segmentation.get_segment_description(1).segment_label == "Brain"
    assert decoded.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    plain = highdicom.seg.Segmentation.from_dataset(decoded)
    assert np.array_equal(plain.pixel_array, made["fractional"].pixel_array)
    assert b"".join(frames) == made["fractional"].pixel_array.tobytes()

    parametric = highdicom.pm.ParametricMap.from_dataset(back["map"])
    assert np.array_equal(parametric.pixel_array, made["map"].pixel_array)
    assert values == made["map"].pixel_array[1].tobytes()

    report = cast("Any", highdicom.sr.ComprehensiveSR).from_dataset(back["report"])
    [group] = report.content.get_planar_roi_measurement_groups()
    assert [measured.value for measured in group.get_measurements()] == [12.5]


def objects_of(series: list[Any]) -> dict[str, Any]:
    """Make what highdicom makes of a series: segmentations in three kinds, a parametric map, a report."""
    hd = cast("Any", highdicom)
    study = generate_uid()
    for one in series:
        one.StudyInstanceUID = study
    first = series[0]
    maker = {"manufacturer": "M", "manufacturer_model_name": "M", "software_versions": "1", "device_serial_number": "1"}
    mask = np.zeros((len(series), first.Rows, first.Columns), bool)
    mask[:, 10:40, 20:61] = True
    mask[1, 70:90] = True
    described = hd.seg.SegmentDescription(
        1, "Brain", codes.SCT.Organ, codes.SCT.Brain, hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=hd.AlgorithmIdentificationSequence(
            name="a", version="1", family=codes.cid7162.ArtificialIntelligence
        ),
    )  # fmt: skip

    def segmentation(kind: str, number: int, syntax: str, values: NDArray[Any]) -> Any:
        return hd.seg.Segmentation(
            series, values, kind, [described], generate_uid(), number, generate_uid(), 1,
            transfer_syntax_uid=syntax, **maker,
        )  # fmt: skip

    region = hd.sr.ImageRegion(
        hd.sr.GraphicTypeValues.POLYLINE,
        np.array([[10.0, 10.0], [20.0, 10.0], [20.0, 20.0], [10.0, 10.0]]),
        hd.sr.SourceImageForRegion(first.SOPClassUID, first.SOPInstanceUID),
    )
    group = hd.sr.PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=hd.sr.TrackingIdentifier(generate_uid(), "one"),
        referenced_region=region,
        finding_type=codes.SCT.Neoplasm,
        measurements=[hd.sr.Measurement(codes.SCT.Diameter, 12.5, codes.UCUM.Millimeter)],
    )
    observer = hd.sr.ObserverContext(codes.DCM.Person, hd.sr.PersonObserverIdentifyingAttributes("Bethe^Hans"))
    report = hd.sr.MeasurementReport(
        observation_context=hd.sr.ObservationContext(observer_person_context=observer),
        procedure_reported=codes.LN.CTUnspecifiedBodyRegion,
        imaging_measurements=[group],
    )
    mapping = hd.pm.RealWorldValueMapping("x", "y", codes.UCUM.NoUnits, [0.0, 1.0], slope=1, intercept=0)
    values = np.random.default_rng(1).random(mask.shape).astype(np.float32)
    return {
        "binary": segmentation("BINARY", 51, ExplicitVRLittleEndian, mask),
        "fractional": segmentation("FRACTIONAL", 52, RLELossless, mask * 0.5),
        "labels": segmentation("LABELMAP", 53, RLELossless, mask.astype(np.uint8)),
        "map": hd.pm.ParametricMap(
            series, values, generate_uid(), 54, generate_uid(), 1, contains_recognizable_visual_features=False,
            real_world_value_mappings=[mapping], window_center=0.5, window_width=1, **maker,
        ),
        "report": hd.sr.ComprehensiveSR([first], report[0], generate_uid(), 55, generate_uid(), 1, manufacturer="M"),
    }  # fmt: skip


# --- Who of them sees what -------------------------------------------------------------------------------------------


class Sight(Enum):
    """What a stranger makes of a study: all, all but whose it is, nothing there, or a no."""

    ALL = NAME
    MASKED = ""
    NOT_THERE = "404"
    REFUSED = "401"


@dataclass(frozen=True, slots=True)
class Theatre:
    """What a stranger needs to look."""

    stage: Stage
    plugin: Orthanc


def name_in(element: dict[str, Any] | None) -> str:
    return str((element or {}).get("Value", [{}])[0].get("Alphabetic", ""))


def status_of(error: requests.HTTPError) -> str:
    assert error.response is not None
    return str(error.response.status_code)


def looks_python(theatre: Theatre, who: str) -> tuple[str, ...]:
    one = theatre.stage.shown
    study = str(one.StudyInstanceUID)
    with theatre.stage.client(who) as client:

        def tried(ask: Callable[[], str]) -> str:
            try:
                return ask()
            except requests.HTTPError as error:
                return status_of(error)

        def searched() -> str:
            found = client.search_for_studies(search_filters={"StudyInstanceUID": study})
            return name_in(found[0].get("00100010")) if found else "404"

        return (
            tried(searched),
            tried(lambda: name_in(client.retrieve_study_metadata(study)[0].get("00100010"))),
            tried(lambda: str(client.retrieve_instance(*names(one)).get("PatientName", ""))),
        )


def looks_javascript(theatre: Theatre, who: str) -> tuple[str, ...]:
    of_shown = js_names(theatre.stage.shown)
    study = {"studyInstanceUID": of_shown["studyInstanceUID"]}
    found, metadata, instance = theatre.stage.js(who)(
        ("searchForStudies", {"queryParams": {"StudyInstanceUID": study["studyInstanceUID"]}}),
        ("retrieveStudyMetadata", study),
        ("retrieveInstance", of_shown),
    )
    listed = [str(one) if isinstance(one, int) else _first_name(one) for one in (found, metadata)]
    return (*listed, str(read(instance).get("PatientName", "")) if isinstance(instance, bytes) else str(instance))


def _first_name(found: Any) -> str:
    return name_in(found[0].get("00100010")) if found else "404"


def looks_curl(theatre: Theatre, who: str) -> tuple[str, ...]:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed (Debian: apt-get install curl).")
    stage = theatre.stage
    token = stage.tokens[who]
    head = [] if token is None else ["-H", f"Authorization: Bearer {token}"]
    command = ["curl", "-sS", "--noproxy", "*", "--cacert", stage.web.authority, "-w", "\n%{http_code}", *head]
    seen: list[str] = []
    study = stage.shown.StudyInstanceUID
    for path in (f"studies?StudyInstanceUID={study}", f"studies/{study}/metadata", f"series?StudyInstanceUID={study}"):
        body, _, status = run([*command, f"{stage.url}/{path}"]).out.rpartition("\n")
        found: Any = json.loads(body) if status == "200" else []
        seen.append(status if status != "200" else _first_name(found))
    return tuple(seen)


def looks_orthanc(theatre: Theatre, who: str) -> tuple[str, ...]:
    one = theatre.stage.shown
    theatre.plugin.forget()
    status, found = theatre.plugin.post(
        f"/dicom-web/servers/{who}/qido", {"Uri": "/studies", "Arguments": {"StudyInstanceUID": one.StudyInstanceUID}}
    )
    named = [str(each.get("00100010", {}).get("Value", "")) for each in cast("Any", found)] if status == 200 else []
    fetched = theatre.plugin.post(
        f"/dicom-web/servers/{who}/retrieve", {"Resources": [{"Study": one.StudyInstanceUID}], "Synchronous": True}
    )
    held = theatre.plugin.instances()
    assert len(held) == (1 if fetched[0] == 200 else 0)
    names_held = [str(read(theatre.plugin.file(each)).get("PatientName", "")) for each in held]
    searched = (named or ["404"])[0] if status == 200 else str(status)
    return searched, *(names_held or [searched])  # of a retrieval that fails, Orthanc does not tell why


def looks_wsidicom(theatre: Theatre, who: str) -> tuple[str, ...]:
    one = theatre.stage.shown
    with theatre.stage.client(who) as client:
        source = WsiDicomWebClient(client)
        try:
            with WsiDicom.open_web(source, one.StudyInstanceUID, one.SeriesInstanceUID) as slide:
                region = np.asarray(slide.read_region((0, 0), 0, (10, 10)))
                assert np.array_equal(region, cast("Any", one).pixel_array[0])
            return (str(cast("Any", source).get_instance(*names(one)).get("PatientName", "")),)
        except WsiDicomNotFoundError:
            return ("404",)
        except requests.HTTPError as error:
            return (status_of(error),)


STRANGERS: dict[str, Callable[[Theatre, str], tuple[str, ...]]] = {
    "dicomweb-client of Python": looks_python,
    "dicomweb-client of JavaScript": looks_javascript,
    "curl": looks_curl,
    "Orthanc": looks_orthanc,
    "wsidicom": looks_wsidicom,
}
TABLE = {
    "radiologist": Sight.ALL,
    "service": Sight.ALL,
    "researcher": Sight.MASKED,
    "elsewhere": Sight.NOT_THERE,
    "nobody": Sight.REFUSED,
}


@pytest.mark.parametrize("stranger", STRANGERS)
def test_every_stranger_sees_what_its_token_may(stranger: str, stage: Stage, plugin: Orthanc) -> None:
    theatre = Theatre(stage, plugin)
    for who, sight in TABLE.items():
        assert set(STRANGERS[stranger](theatre, who)) == {sight.value}, who
    assert "Traceback" not in stage.web.leadglass.log.read_text()
