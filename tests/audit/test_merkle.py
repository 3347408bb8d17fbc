from hypothesis import given
from hypothesis import strategies as st

from leadglass.audit.merkle import (
    Frontier,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    node_hash,
    root_of,
    verify_consistency,
    verify_inclusion,
)

# The inputs and roots that certificate transparency implementations share as vectors of RFC 6962.
INPUTS = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
LEAVES = [leaf_hash(data) for data in INPUTS]
SIZES = st.integers(min_value=1, max_value=70)


def tree_hash(leaves: list[bytes]) -> bytes:
    """RFC 6962 2.1, word for word: an independent, recursive reading."""
    if len(leaves) == 1:
        return leaves[0]
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return node_hash(tree_hash(leaves[:k]), tree_hash(leaves[k:]))


def some_leaves(count: int) -> list[bytes]:
    return [leaf_hash(str(i).encode()) for i in range(count)]


def test_the_roots_are_those_of_the_shared_vectors() -> None:
    assert [root_of(LEAVES[:n]).hex() for n in range(9)] == ROOTS


def test_the_inclusion_proofs_are_those_of_the_shared_vectors() -> None:
    assert inclusion_proof(LEAVES[:1], 0) == ()
    assert [p.hex() for p in inclusion_proof(LEAVES, 0)] == [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ]
    assert [p.hex() for p in inclusion_proof(LEAVES[:3], 2)] == [ROOTS[2]]


def test_the_consistency_proofs_are_those_of_the_shared_vectors() -> None:
    assert consistency_proof(LEAVES[:1], 1) == ()
    assert [p.hex() for p in consistency_proof(LEAVES, 1)] == [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ]
    assert [p.hex() for p in consistency_proof(LEAVES, 6)] == [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ]


@given(SIZES)
def test_growing_leaf_by_leaf_gives_the_tree_hash_of_the_whole(size: int) -> None:
    leaves = some_leaves(size)
    assert root_of(leaves) == tree_hash(leaves)


@given(SIZES)
def test_a_frontier_survives_being_stored(size: int) -> None:
    frontier = Frontier()
    for leaf in some_leaves(size):
        frontier = frontier.append(leaf)
    assert Frontier.from_bytes(size, frontier.to_bytes()) == frontier


def test_a_frontier_that_does_not_fit_its_size_is_refused() -> None:
    for size, data in ((3, bytes(32)), (-1, b""), (1, bytes(31)), (0, bytes(32))):
        try:
            Frontier.from_bytes(size, data)
        except ValueError:
            continue
        raise AssertionError(f"{size} leaves with {len(data)} bytes of peaks were accepted")


@given(SIZES, st.data())
def test_an_inclusion_proof_proves_its_leaf_and_no_other(size: int, data: st.DataObject) -> None:
    leaves = some_leaves(size)
    index = data.draw(st.integers(0, size - 1))
    proof = inclusion_proof(leaves, index)
    assert verify_inclusion(leaves[index], index, size, proof, root_of(leaves))
    assert not verify_inclusion(leaf_hash(b"another"), index, size, proof, root_of(leaves))
    other = data.draw(st.integers(-1, size))
    if other != index:
        assert not verify_inclusion(leaves[index], other, size, proof, root_of(leaves))
    assert not verify_inclusion(leaves[index], index, size, (*proof, bytes(32)), root_of(leaves))
    if proof:
        assert not verify_inclusion(leaves[index], index, size, proof[:-1], root_of(leaves))


@given(SIZES, st.data())
def test_a_consistency_proof_proves_the_beginning_and_no_other(size: int, data: st.DataObject) -> None:
    leaves = some_leaves(size)
    old = data.draw(st.integers(1, size))
    proof = consistency_proof(leaves, old)
    old_root, root = root_of(leaves[:old]), root_of(leaves)
    assert verify_consistency(old, old_root, size, root, proof)
    forged = [leaf_hash(b"forged"), *leaves[1:]]
    assert not verify_consistency(old, root_of(forged[:old]), size, root, proof)
    assert not verify_consistency(old, old_root, size, root_of(forged), proof)
    assert not verify_consistency(old, old_root, size, root, (*proof, bytes(32)))
    if old < size:
        assert not verify_consistency(old, old_root, size, root, proof[:-1])
