"""The senders' book: exactly what the archive acknowledged, and what it may have kept without saying so.

Rule: only a status of 0000, or an end of ``leadglass import`` that says so, is an
acknowledgement. What was sent and not answered may be there or not, but never half.
"""

from collections import Counter, defaultdict
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random
from threading import Lock

from tests.hostile.images import Image


@dataclass(slots=True)
class Book:
    """What is known of every instance by SOP Instance UID. Safe for threads."""

    lock: Lock = field(default_factory=Lock)
    acknowledged: dict[str, bytes] = field(default_factory=dict[str, bytes])
    """Digest of what was acknowledged."""
    studies: dict[str, set[str]] = field(default_factory=lambda: defaultdict[str, set[str]](set))
    """Acknowledged SOP Instance UIDs by study."""
    sent: dict[str, set[bytes]] = field(default_factory=lambda: defaultdict[str, set[bytes]](set))
    """Digests of everything that was ever sent under a UID."""
    kept: set[tuple[str, bytes]] = field(default_factory=set[tuple[str, bytes]])
    """What was answered with 0111: it has to be in quarantine."""
    users: Counter[str] = field(default_factory=Counter[str])
    """How many are sending into a study now."""
    deleting: set[str] = field(default_factory=set[str])
    """Studies whose deletion was begun and not heard to be done: all there or all gone."""
    refused: int = 0
    images: dict[str, Image] = field(default_factory=dict[str, Image])
    """Some acknowledged images, to be sent again."""

    def sending(self, image: Image) -> None:
        """Note what is about to be sent."""
        with self.lock:
            self.sent[image.sop_instance_uid].add(image.digest)

    def answered(self, image: Image, status: int) -> None:
        """Note what was answered."""
        uid = image.sop_instance_uid
        with self.lock:
            if status == 0:
                known = self.acknowledged.setdefault(uid, image.digest)
                assert known == image.digest, f"{uid} was acknowledged with two contents"
                self.studies[image.study_uid].add(uid)
                if len(self.images) < 500:
                    self.images[uid] = image
            elif status == 0x0111:
                self.kept.add((uid, image.digest))
            else:
                self.refused += 1

    @contextmanager
    def using(self, study_uid: str) -> Generator[None]:
        """Keep a study from being deleted inside the block."""
        with self.lock:
            self.users[study_uid] += 1
        try:
            yield
        finally:
            self.leave(study_uid)

    def use_image(self, draw: Random) -> Image | None:
        """Give an acknowledged image whose study is not deleted until ``leave``."""
        with self.lock:
            free = [image for image in self.images.values() if image.study_uid not in self.deleting]
            chosen = draw.choice(free) if free else None
            if chosen is not None:
                self.users[chosen.study_uid] += 1
            return chosen

    def leave(self, study_uid: str) -> None:
        """Say that nothing is sent into a study any more, by one."""
        with self.lock:
            self.users[study_uid] -= 1

    def take_study(self, draw: Random) -> str | None:
        """Give a study to delete, that nobody sends to; from now on it may be gone."""
        with self.lock:
            free = sorted(uid for uid in self.studies if not self.users[uid] and uid not in self.deleting)
            if not free:
                return None
            study_uid = draw.choice(free)
            self.deleting.add(study_uid)
            return study_uid

    def forget(self, study_uid: str) -> None:
        """Note that a study was deleted, and what quarantine held under it."""
        with self.lock:
            self.deleting.discard(study_uid)
            for uid in self.studies.pop(study_uid, set()):
                self.acknowledged.pop(uid, None)
                self.images.pop(uid, None)
            self.kept = {each for each in self.kept if not each[0].startswith(f"{study_uid}.")}

    def is_going(self, study_uid: str) -> bool:
        """Say whether a study may be gone."""
        with self.lock:
            return study_uid in self.deleting or study_uid not in self.studies

    def promised(self, study_uid: str) -> dict[str, bytes]:
        """Give what was acknowledged of a study."""
        with self.lock:
            return {uid: self.acknowledged[uid] for uid in self.studies.get(study_uid, ())}
