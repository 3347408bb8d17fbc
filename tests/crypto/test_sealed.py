import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leadglass.crypto.sealed import CHUNK, TAG, Scratch, SealedReader, SealedWriter, sealed_size
from leadglass.errors import Corrupt

KEY = bytes(range(32))
IDENTITY = bytes(range(16))
HEADER = 24
SEALED = CHUNK + TAG


def seal(path: Path, data: bytes, *, step: int = 10_000, key: bytes = KEY, identity: bytes = IDENTITY) -> None:
    file = os.open(path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY)
    writer = SealedWriter(file, key, identity)
    for start in range(0, len(data), step):
        writer.write(data[start : start + step])
    assert writer.finish() == len(data)
    os.close(file)


def unseal(path: Path, *, key: bytes = KEY, identity: bytes = IDENTITY) -> bytes:
    with SealedReader(os.open(path, os.O_RDONLY), key, identity) as reader:
        return reader.read_at(0, reader.size)


SIZES = [0, 1, 100, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 2 * CHUNK + 7, 40 * CHUNK + 13]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("step", [1_000, CHUNK, 5 * CHUNK + 3])
def test_what_is_sealed_is_read_back(tmp_path: Path, size: int, step: int) -> None:
    data = os.urandom(size)
    seal(tmp_path / "o", data, step=step)
    assert unseal(tmp_path / "o") == data
    assert (tmp_path / "o").stat().st_size == sealed_size(size)


@given(st.integers(-5, 4 * CHUNK), st.integers(-5, 4 * CHUNK))
@settings(max_examples=200)
def test_any_range_is_what_a_slice_gives(tmp_path_factory: pytest.TempPathFactory, offset: int, length: int) -> None:
    path = tmp_path_factory.getbasetemp() / "ranges"
    data = bytes(i % 251 for i in range(3 * CHUNK + 1000))
    if not path.exists():
        seal(path, data)
    with SealedReader(os.open(path, os.O_RDONLY), KEY, IDENTITY) as reader:
        expected = data[offset : offset + length] if offset >= 0 and length > 0 else b""
        assert reader.read_at(offset, length) == expected


def test_nothing_of_the_plaintext_is_on_disk(tmp_path: Path) -> None:
    seal(tmp_path / "o", b"Doe^Jane" * 30_000)
    assert b"Doe^Jane" not in (tmp_path / "o").read_bytes()


def flip(at: int) -> Callable[[bytes], bytes]:
    return lambda data: data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def swap_chunks(data: bytes) -> bytes:
    first, second = data[HEADER : HEADER + SEALED], data[HEADER + SEALED : HEADER + 2 * SEALED]
    return data[:HEADER] + second + first + data[HEADER + 2 * SEALED :]


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "magic": flip(0),
    "version": flip(7),
    "identity": flip(10),
    "first byte": flip(HEADER),
    "first tag": flip(HEADER + SEALED - 1),
    "last byte": flip(-1 + sealed_size(3 * CHUNK + 50)),
    "cut by a byte": lambda data: data[:-1],
    "cut by the last chunk": lambda data: data[: HEADER + 3 * SEALED],
    "cut to a tag": lambda data: data[: HEADER + 3 * SEALED + TAG],
    "cut to the header": lambda data: data[:HEADER],
    "cut to nothing": lambda data: b"",
    "grown by a byte": lambda data: data + b"\0",
    "grown by a chunk": lambda data: data + data[HEADER : HEADER + SEALED],
    "chunks swapped": swap_chunks,
    "first chunk left out": lambda data: data[:HEADER] + data[HEADER + SEALED :],
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
def test_damage_is_found_and_never_read_as_data(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "o"
    seal(path, os.urandom(3 * CHUNK + 50))
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(Corrupt):
        unseal(path)


@pytest.mark.parametrize("cut", range(1, 40))
def test_a_short_object_cut_anywhere_is_damaged(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "o"
    seal(path, b"short")
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(Corrupt):
        unseal(path)


def test_another_key_or_another_object_does_not_open_it(tmp_path: Path) -> None:
    seal(tmp_path / "o", b"data")
    with pytest.raises(Corrupt):
        unseal(tmp_path / "o", key=bytes(32))
    with pytest.raises(Corrupt):
        unseal(tmp_path / "o", identity=bytes(16))


def test_damage_beyond_the_part_that_is_read_does_not_hinder(tmp_path: Path) -> None:
    path = tmp_path / "o"
    data = os.urandom(3 * CHUNK)
    seal(path, data)
    path.write_bytes(flip(HEADER + SEALED + 5)(path.read_bytes()))
    with SealedReader(os.open(path, os.O_RDONLY), KEY, IDENTITY) as reader:
        assert reader.read_at(0, 1000) == data[:1000]
        assert reader.read_at(2 * CHUNK, 1000) == data[2 * CHUNK : 2 * CHUNK + 1000]
        with pytest.raises(Corrupt):
            reader.read_at(CHUNK - 10, 20)


def test_a_refused_object_leaves_no_open_file(tmp_path: Path) -> None:
    (tmp_path / "o").write_bytes(b"nothing of ours")
    before = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(Corrupt):
        unseal(tmp_path / "o")
    assert len(list(Path("/proc/self/fd").iterdir())) == before


@given(st.lists(st.integers(0, 3 * CHUNK), max_size=5))
@settings(max_examples=30, deadline=None)
def test_blocks_that_come_together_are_sealed_like_one_piece(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int]
) -> None:
    path = tmp_path_factory.mktemp("blocks") / "o"
    blocks = [os.urandom(size) for size in sizes]
    file = os.open(path, os.O_CREAT | os.O_WRONLY)
    writer = SealedWriter(file, KEY, IDENTITY, Scratch())
    writer.write(*blocks)
    assert writer.finish() == sum(sizes)
    os.close(file)
    assert unseal(path) == b"".join(blocks)


def test_a_writer_whose_disk_is_full_leaves_the_memory_it_shares_to_the_next(tmp_path: Path) -> None:
    scratch = Scratch()
    full = os.open("/dev/full", os.O_WRONLY)
    with pytest.raises(OSError, match="No space left"):
        SealedWriter(full, KEY, IDENTITY, scratch).write(bytes(10 * CHUNK))
    small = SealedWriter(full, KEY, IDENTITY, scratch)
    small.write(bytes(2 * CHUNK))
    with pytest.raises(OSError, match="No space left"):
        small.finish()
    os.close(full)
    data = os.urandom(3 * CHUNK + 5)
    file = os.open(tmp_path / "o", os.O_CREAT | os.O_WRONLY)
    writer = SealedWriter(file, KEY, IDENTITY, scratch)
    writer.write(data)
    writer.finish()
    os.close(file)
    assert unseal(tmp_path / "o") == data
