import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from leadglass.audit.checkpoint import Signer, Verifier
from leadglass.errors import BadInput, Corrupt

SIGNER = Signer("leadglass/audit/test", bytes(range(32)))
ROOT = bytes(range(32))


def test_the_signed_note_of_the_specification_is_believed() -> None:
    verifier = Verifier.from_text("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")
    note = (
        "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n\n"
        "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
    )
    assert verifier.check(note).startswith("If you think")
    with pytest.raises(Corrupt):
        verifier.check(note.replace("answer", "cause"))


def test_a_checkpoint_comes_back_as_it_was_signed() -> None:
    checkpoint = SIGNER.verifier.open(SIGNER.sign(42, ROOT))
    assert (checkpoint.origin, checkpoint.size, checkpoint.root) == ("leadglass/audit/test", 42, ROOT)


def test_a_key_survives_being_printed() -> None:
    again = Verifier.from_text(SIGNER.verifier.to_text())
    assert again.open(SIGNER.sign(1, ROOT)).size == 1


@pytest.mark.parametrize(
    ("old", "new"),
    [("\n42\n", "\n43\n"), ("leadglass/audit/test\n42", "leadglass/audit/other\n42"), ("AAECAwQF", "AAECAwQG")],
)
def test_a_changed_checkpoint_is_not_believed(old: str, new: str) -> None:
    note = SIGNER.sign(42, ROOT)
    assert old in note
    with pytest.raises(Corrupt):
        SIGNER.verifier.open(note.replace(old, new, 1))


def test_a_checkpoint_of_another_key_is_not_believed() -> None:
    with pytest.raises(Corrupt, match="not signed with this log's key"):
        SIGNER.verifier.open(Signer("leadglass/audit/test", bytes(32)).sign(42, ROOT))


def test_a_further_signature_of_a_witness_does_no_harm() -> None:
    note = SIGNER.sign(42, ROOT) + "— witness.example AAAAAAAA\n"
    assert SIGNER.verifier.open(note).size == 42


@pytest.mark.parametrize(
    "note",
    ["", "\n\n", "a\n1\nAA==\n", "a\n\n— \n", "\n\n— leadglass/audit/test !!!\n", "x" * 100_000],
)
def test_what_is_no_signed_note_is_refused(note: str) -> None:
    with pytest.raises(Corrupt):
        SIGNER.verifier.open(note)


@pytest.mark.parametrize("origin", ["", "with space", "with+plus", "new\nline", "x" * 129])
def test_an_origin_that_would_break_the_note_is_refused(origin: str) -> None:
    with pytest.raises(BadInput):
        Verifier(origin, Ed25519PrivateKey.generate().public_key())


@pytest.mark.parametrize(
    "text", ["", "a+b", "a+00000000+AAAA", "a+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"]
)
def test_a_damaged_key_text_is_refused(text: str) -> None:
    with pytest.raises(BadInput):
        Verifier.from_text(text)
