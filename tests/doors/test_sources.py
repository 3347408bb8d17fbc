"""Sources: what an import finds, what it passes over, and what it does not fall for."""

import os
import struct
import zipfile
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leadglass.doors.sources import Found, Skip, Skipped, Source, Unreadable, members, walk
from leadglass.errors import BadInput


def _names(sources: list[Source], root: Path) -> list[str]:
    return [str(Path(source.name).relative_to(root)) for source in sources if isinstance(source, Found)]


def _content(source: Source, offset: int = 0, look: int = 0) -> bytes:
    assert isinstance(source, Found)
    with source.open() as stream:
        if look:
            stream.read_at(0, look)
        return b"".join(stream.blocks(offset))


def test_a_folder_is_walked_with_all_below_in_order(tmp_path: Path) -> None:
    for name in ("b", "a", "sub/c", "sub/deep/d"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    found = list(walk([tmp_path]))
    assert _names(found, tmp_path) == ["a", "b", "sub/c", "sub/deep/d"]
    assert [_content(each) for each in found] == [b"a", b"b", b"sub/c", b"sub/deep/d"]


@pytest.mark.parametrize("name", [".DS_Store", ".hidden", "Thumbs.db", "desktop.ini", ".git/config", "__MACOSX/x"])
def test_hidden_and_system_files_are_passed_over_and_counted(tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(b"x")
    (found,) = walk([tmp_path])
    assert isinstance(found, Skipped)
    assert found.why is Skip.HIDDEN


def test_links_inside_a_folder_are_not_followed_but_a_given_one_is(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_bytes(b"secret")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "file").symlink_to(outside)
    (folder / "loop").symlink_to(folder)
    assert [source.why for source in walk([folder]) if isinstance(source, Skipped)] == [Skip.LINK, Skip.LINK]
    (given_one,) = walk([folder / "file"])
    assert _content(given_one) == b"secret"


def test_pipes_and_sockets_do_not_hold_it_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (found,) = walk([tmp_path])
    assert isinstance(found, Skipped)
    assert found.why is Skip.SPECIAL


def test_what_is_not_there_is_named_and_the_rest_goes_on(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"a")
    missing, found = walk([tmp_path / "missing", tmp_path / "a"])
    assert isinstance(missing, Unreadable)
    assert "cannot be read" in missing.reason
    assert _content(found) == b"a"


def test_a_dicomdir_leads_to_its_folder_and_is_itself_passed_over(tmp_path: Path) -> None:
    (tmp_path / "DICOMDIR").write_bytes(b"x")
    (tmp_path / "IM1").write_bytes(b"1")
    (tmp_path.parent / "outside-of-the-medium").write_bytes(b"2")
    found = list(walk([tmp_path / "DICOMDIR"]))
    assert _names(found, tmp_path) == ["IM1"]
    assert [source.why for source in found if isinstance(source, Skipped)] == [Skip.MEDIA_DIRECTORY]


# --- ZIP ----------------------------------------------------------------------


def _zip(path: Path, members: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return path


def test_a_zip_is_read_member_by_member(tmp_path: Path) -> None:
    path = _zip(tmp_path / "x.bin", {"dir/a": b"A" * 5000, ".hidden": b"h", "DICOMDIR": b"d", "b": b"B"})
    sources = list(walk([path]))
    assert [type(source) for source in sources] == [Found, Skipped, Skipped, Found]
    assert _content(sources[0], 100, look=50) == b"A" * 4900
    assert _content(sources[3]) == b"B"


@settings(max_examples=60, deadline=None)
@given(size=st.integers(0, 3000), look=st.integers(0, 3500), offset=st.integers(0, 3500))
def test_a_member_gives_the_same_bytes_however_much_was_looked_at(
    tmp_path_factory: pytest.TempPathFactory, size: int, look: int, offset: int
) -> None:
    content = os.urandom(size)
    path = _zip(tmp_path_factory.mktemp("zip") / "x.zip", {"a": content})
    (source,) = walk([path])
    assert _content(source, offset, look) == content[offset:]


def test_a_zip_in_a_zip_is_not_opened(tmp_path: Path) -> None:
    inner = _zip(tmp_path / "inner.zip", {"a": b"a"}).read_bytes()
    outer = tmp_path / "outer"
    outer.mkdir()
    (source,) = walk([_zip(outer / "x.zip", {"inner.zip": inner})])
    assert _content(source) == inner


def test_a_member_that_inflates_without_end_is_stopped(tmp_path: Path) -> None:
    (source,) = walk([_zip(tmp_path / "bomb.zip", {"a": bytes(200 * 1024 * 1024)})])
    taken = [0]
    assert isinstance(source, Found)
    with source.open() as stream, pytest.raises(BadInput, match="inflates"):
        taken.extend(len(block) for block in stream.blocks(0))
    assert sum(taken) <= 66 * 1024 * 1024


def test_a_zip_whose_members_overlap_is_refused(tmp_path: Path) -> None:
    """As David Fifield's: many names in the directory share one piece of data."""
    data = zlib.compress(bytes(1_000_000), 9)[2:-4]
    crc = zlib.crc32(bytes(1_000_000))
    local = struct.pack("<IHHHHHIIIHH", 0x04034B50, 20, 0, 8, 0, 0, crc, len(data), 1_000_000, 1, 0) + b"a" + data
    central = b"".join(
        struct.pack(
            "<IHHHHHHIIIHHHHHII", 0x02014B50, 20, 20, 0, 8, 0, 0, crc, len(data), 1_000_000, 1, 0, 0, 0, 0, 0, 0
        )
        + b"a"
        for _ in range(100)
    )
    end = struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, 100, 100, len(central), len(local), 0)
    path = tmp_path / "overlap.zip"
    path.write_bytes(local + central + end)
    (source,) = walk([path])
    assert isinstance(source, Unreadable)
    assert "overlap" in source.reason


def test_a_zip_whose_directory_would_fill_the_memory_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "huge.zip"
    end = struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, 65535, 65535, 0x7FFFFFFF, 0, 0)
    path.write_bytes(b"PK\x03\x04" + end)
    (source,) = walk([path])
    assert isinstance(source, Unreadable)
    assert "too long" in source.reason


def test_what_zip64_says_of_the_directory_counts_whatever_the_old_record_says(tmp_path: Path) -> None:
    path = tmp_path / "huge.zip"
    with path.open("wb") as file:
        file.write(b"PK\x03\x04")
        file.truncate(300 << 20)  # sparse: zipfile would read all of it into memory
        at = file.seek(0, 2)
        file.write(struct.pack("<IQHHIIQQQQ", 0x06064B50, 44, 45, 45, 0, 0, 1, 1, at - 4, 4))
        file.write(struct.pack("<IIQI", 0x07064B50, 0, at, 1))
        file.write(struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, 1, 1, 46, 4, 0))
    (source,) = walk([path])
    assert isinstance(source, Unreadable)
    assert "too long" in source.reason


def test_a_zip64_record_that_is_somewhere_else_is_not_looked_for(tmp_path: Path) -> None:
    path = tmp_path / "elsewhere.zip"
    locator = struct.pack("<IIQI", 0x07064B50, 0, 0, 1)
    path.write_bytes(b"PK\x03\x04" + locator + struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, 1, 1, 46, 4, 0))
    (source,) = walk([path])
    assert isinstance(source, Unreadable)
    assert "not where" in source.reason


def test_a_zip_of_zip64_is_read_when_its_directory_is_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 1)  # more than that and zipfile writes ZIP64
    path = _zip(tmp_path / "x.zip", {"a": b"A" * 100, "b": b"B"})
    assert b"PK\x06\x06" in path.read_bytes()
    read: list[bytes] = []
    for source in walk([path]):
        assert isinstance(source, Found)
        with source.open() as stream:
            read.append(stream.read_at(0, 100))
    assert read == [b"A" * 100, b"B"]


def test_the_directory_of_a_zip_that_was_sent_may_be_shorter(tmp_path: Path) -> None:
    path = _zip(tmp_path / "x.zip", {f"{number:0200}": b"" for number in range(10)})
    (source,) = members("x", path.open("rb"), most_directory=2_000)
    assert isinstance(source, Unreadable)
    assert "too long" in source.reason


def test_an_encrypted_member_is_named(tmp_path: Path) -> None:
    path = _zip(tmp_path / "x.zip", {"a": b"secret"})
    content = bytearray(path.read_bytes())
    for signature, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(signature) + at] |= 1
    path.write_bytes(content)
    (source,) = walk([path])
    assert isinstance(source, Found)
    with pytest.raises(BadInput, match="encrypted"), source.open():
        pass


@pytest.mark.parametrize("compression", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_unusual_compression_is_named(tmp_path: Path, compression: int) -> None:
    (source,) = walk([_zip(tmp_path / "x.zip", {"a": b"A" * 100}, compression)])
    with pytest.raises(BadInput, match="unusual"):
        _content(source)


def test_names_that_climb_out_are_only_names(tmp_path: Path) -> None:
    path = _zip(tmp_path / "x.zip", {"../../etc/passwd": b"x", "/abs": b"y"})
    sources = list(walk([path]))
    for source in sources:
        if isinstance(source, Found):
            with source.open():
                pass
    assert not (tmp_path.parent / "etc").exists()
    assert len(sources) == 2


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=300), st.integers(0, 1))
def test_whatever_claims_to_be_a_zip_it_is_read_or_named(
    tmp_path_factory: pytest.TempPathFactory, noise: bytes, kind: int
) -> None:
    path = tmp_path_factory.mktemp("noise") / "x"
    if kind:
        good = bytearray(_zip(path, {"a": b"A" * 100, "b": b"B"}).read_bytes())
        for at, byte in enumerate(noise):
            good[(at * 7 + byte) % len(good)] = byte
        good[:4] = b"PK\x03\x04"
        path.write_bytes(good)
    else:
        path.write_bytes(b"PK\x03\x04" + noise)
    for source in walk([path]):
        if isinstance(source, Found):
            try:
                _content(source)
            except BadInput:
                continue
