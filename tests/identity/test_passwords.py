import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadglass.crypto.passphrase import Cost, Stretch
from leadglass.errors import BadInput, Busy, Misconfigured
from leadglass.identity.common_passwords import COMMON, WHOLE
from leadglass.identity.passwords import COST, LEAST, Hash, Passwords, require_good
from tests.identity.peoplehouse import BETTER, CHEAP, GOOD


@pytest.mark.parametrize(
    "good",
    [
        GOOD,
        BETTER,
        "kubus-zwiebel-agave-turm",
        "Vx9#qmL2!pfT",
        "8392 0174 8365",
        "日本語の長い合言葉とても長い",
        "a glass house, and no stones",
    ],
)
def test_long_passphrases_are_taken_whatever_they_are_composed_of(good: str) -> None:
    assert require_good(good, "jane")


@pytest.mark.parametrize(
    "bad",
    [
        "", " ", "            ", "\t\t\t\t\t\t\t\t\t\t\t\t", "short", "elevenchars", "passwordpassword",
        "P@ssw0rd2026!!",
        "radiology2026!", "Orthanc12345", "orthancorthanc", "leadglassleadglass", "LeadGlass-2026", "dcm4cheeadmin",
        "1234567890123", "aaaaaaaaaaaaa", "abcdefghijklmn", "qwertyuiop123", "changeme1234", "adminadminadmin",
        "drowssapdrowssap", "j.doe.j.doe.j", "jdoe-hospital-1", "correct horse battery staple", "WelcomeSummer2026",
        "GE-Centricity-2024", "impaxsyngo9876", "passw\x00rd and more", "1q2w3e4r5t6y",
    ],
)  # fmt: skip
def test_blank_common_vendor_and_own_names_are_refused_without_being_repeated(bad: str) -> None:
    with pytest.raises(BadInput) as refused:
        require_good(bad, "j.doe")
    assert len(bad) < LEAST or bad not in refused.value.message


@given(
    st.lists(st.sampled_from(sorted(COMMON)), min_size=1, max_size=4), st.integers(0, 99_999), st.sampled_from("!-_ ")
)
def test_common_words_with_ornament_are_never_good(words: list[str], number: int, glue: str) -> None:
    with pytest.raises(BadInput):
        require_good(f"{glue.join(words)}{glue}{number}", "jane")


@given(st.sampled_from(sorted(WHOLE)))
def test_whole_ones_that_everybody_tries_are_refused_in_any_case(text: str) -> None:
    with pytest.raises(BadInput):
        require_good(text.upper(), "jane")


@given(st.text(max_size=60))
def test_any_text_is_taken_or_refused_with_a_reason(text: str) -> None:
    try:
        taken = require_good(text, "jane")
    except BadInput:
        return
    assert len(taken) >= LEAST
    assert taken.strip()


def test_two_spellings_of_one_text_are_one_password() -> None:
    assert require_good("cafe\u0301 au lait et demain", "jane") == require_good("caf\u00e9 au lait et demain", "jane")


def test_a_password_matches_itself_alone_and_nobody_is_matched_by_nothing() -> None:
    passwords = Passwords(CHEAP)
    hashed = passwords.hash(GOOD)
    assert passwords.matches(GOOD, hashed, "here")
    assert not passwords.matches(BETTER, hashed, "here")
    assert not passwords.matches("", hashed, "here")
    assert not passwords.matches(GOOD, None, "here")
    assert passwords.hash(GOOD).value != hashed.value, "each has its own salt"


def test_a_guess_costs_memory_as_the_rfc_recommends() -> None:
    assert (COST.memory_kib, COST.passes, COST.lanes) == (65_536, 3, 1)


def test_passwords_are_hashed_at_one_time_and_none_waits_for_ever() -> None:
    """Several lanes would: two threads that derive at one time hang inside the library."""
    passwords = Passwords(at_a_time=2, waiting=8, of_one_network=8)
    hashed = passwords.hash(GOOD)
    seen: list[bool] = []
    threads = [
        threading.Thread(target=lambda: seen.append(passwords.matches(GOOD, hashed, "here")), daemon=True)
        for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert seen == [True] * 6
    with pytest.raises(Misconfigured):
        Passwords(Cost(memory_kib=65_536, passes=3, lanes=4))
    assert not passwords.matches(GOOD, Hash(Stretch(bytes(16), Cost(65_536, 3, 4)), bytes(32)), "here")


def test_guesses_are_worked_on_a_few_at_a_time_and_one_network_cannot_take_all_turns() -> None:
    entered, leave = threading.Semaphore(0), threading.Event()
    most_at_once, inside, lock = 0, 0, threading.Lock()

    class Slow(Passwords):
        def slowly(self, network: str) -> None:
            nonlocal most_at_once, inside
            with self.having_turn(network):
                with lock:
                    inside += 1
                    most_at_once = max(most_at_once, inside)
                entered.release()
                assert leave.wait(30)
                with lock:
                    inside -= 1

    passwords = Slow(CHEAP, at_a_time=2, waiting=3, of_one_network=3)
    threads = [threading.Thread(target=passwords.slowly, args=("flood",)) for _ in range(2)]
    for thread in threads:
        thread.start()
    assert entered.acquire(timeout=30)
    assert entered.acquire(timeout=30)
    threads.append(threading.Thread(target=passwords.slowly, args=("flood",)))
    threads[-1].start()
    while passwords.inside("flood") < 3:
        pass
    with pytest.raises(Busy):
        passwords.hash(GOOD, "flood")
    other = threading.Thread(target=passwords.slowly, args=("elsewhere",))
    other.start()
    leave.set()
    for thread in (*threads, other):
        thread.join(30)
        assert not thread.is_alive()
    assert most_at_once == 2
    assert passwords.inside("flood") == 0
