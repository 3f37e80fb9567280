"""Modalities: what they send, and what they were told. They send again, byte for byte, until they hear success."""

from __future__ import annotations

import hashlib
import queue
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import httpx

from cli import stow_client
from inference.training.phantoms import SyntheticIdentity, generate, to_dicom
from tests.support import dicoms

FIRST_SEED = 920_000
"""Seeds of the X-rays: images that the model has never seen (`inference.training.seeds.DEMONSTRATION`)."""
SIDE = 256
"""Rows and columns of an X-ray: what the model looks at, and quick to make."""
TAKEN_AT = datetime(2026, 11, 20, 8, 30, tzinfo=UTC)
"""Acquisition of every X-ray, so that the same number always gives the same bytes."""
RETRY_S = 0.2
"""seconds a sender waits before it sends again."""
GIVE_UP_S = 600.0
"""seconds after which a sender that hears no success reports a failure of the test."""


@dataclass(frozen=True, slots=True)
class Image:
    """One DICOM file."""

    study_uid: str
    sop_instance_uid: str
    data: bytes = field(repr=False)

    @property
    def sha256(self) -> bytes:
        """Digest of the file."""
        return hashlib.sha256(self.data).digest()


@dataclass(frozen=True, slots=True)
class Sent:
    """One study: its requests, each of which a sender makes by itself.

    Parameters
    ----------
    kind
        `xray`, `ct` or `ultrasound`.
    alerting
        Whether it shows a finding that somebody must be told of.
    """

    site: str
    study_uid: str
    kind: str
    alerting: bool
    requests: tuple[tuple[Image, ...], ...] = field(repr=False)


def xray(number: int, site: str, *, alerting: bool) -> Sent:
    """A chest X-ray of an invented patient; an alerting one shows a pneumothorax."""
    identity = SyntheticIdentity(
        patient_name=f"Zq^Number{number}",
        patient_id=f"ZQ-{number}",
        accession_number=f"ZQA{number}",
        birth_date="19610203",
        sex="F",
        taken_at=TAKEN_AT,
        priority="STAT" if number % 3 == 0 else "ROUTINE",
    )
    findings = frozenset({"pneumothorax"}) if alerting else frozenset()
    phantom = generate(FIRST_SEED + number, rows=SIDE, columns=SIDE, findings=findings)
    study_uid, sop_uid = dicoms.uid(f"study xray {number}"), dicoms.uid(f"instance xray {number}")
    data = to_dicom(
        phantom,
        identity,
        study_uid=study_uid,
        series_uid=dicoms.uid(f"series xray {number}"),
        sop_uid=sop_uid,
    )
    return Sent(site, study_uid, "xray", alerting, ((Image(study_uid, sop_uid, data),),))


def ct(number: int, site: str, *, slices: int, requests: int) -> Sent:
    """A CT series, its slices dealt out to several requests."""
    options = dicoms.Options(study=f"ct {number}", accession=f"ZQC{number}", patient_id=f"ZQ-CT-{number}")
    images = []
    for position in range(1, slices + 1):
        seed = f"ct {number} {position}"
        data_set = dicoms.ct_slice(seed, options, number=position)
        images.append(Image(data_set.StudyInstanceUID, data_set.SOPInstanceUID, dicoms.to_bytes(data_set)))
    dealt = tuple(tuple(images[first::requests]) for first in range(requests))
    return Sent(site, images[0].study_uid, "ct", alerting=False, requests=dealt)


def ultrasound(number: int, site: str) -> Sent:
    """One small ultrasound image: where the site has pixels cleaned, text is looked for and blanked."""
    options = dicoms.Options(study=f"us {number}", accession=f"ZQU{number}", patient_id=f"ZQ-US-{number}")
    data_set = dicoms.ultrasound(f"us {number}", options)
    image = Image(data_set.StudyInstanceUID, data_set.SOPInstanceUID, dicoms.to_bytes(data_set))
    return Sent(site, image.study_uid, "ultrasound", alerting=False, requests=((image,),))


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """One instance that a success answer named, and what was sent under that name."""

    site: str
    study_uid: str
    sop_instance_uid: str
    sha256: bytes


@dataclass
class Ledger:
    """What senders sent and were told, by themselves."""

    sent: list[Sent] = field(default_factory=list)
    acknowledged: list[Acknowledged] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    broken: Counter[str] = field(default_factory=Counter)
    """Per request, how often its connection broke after it had begun to be sent."""
    recovered: set[str] = field(default_factory=set)
    """Requests that broke at least once and were answered with success later."""
    open: dict[str, int] = field(default_factory=dict)
    """Requests that are on their way, without an answer so far: which attempt it is."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def breaks(self) -> Counter[str]:
        """Copy of `broken`."""
        with self.lock:
            return Counter(self.broken)

    def waiting(self) -> set[tuple[str, int]]:
        """Attempts that are on their way now: request, and how often it had been tried before."""
        with self.lock:
            return set(self.open.items())


@dataclass(frozen=True, slots=True)
class _Request:
    name: str
    site: str
    images: tuple[Image, ...]


class Department:
    """Several senders, each with a connection of its own, who take requests as they come.

    Parameters
    ----------
    address
        Gateway.
    tokens
        Credential of each site.
    connections
        Number of senders.
    """

    def __init__(self, address: str, tokens: dict[str, str], connections: int) -> None:
        self.ledger = Ledger()
        self._address = address
        self._tokens = tokens
        self._requests: queue.Queue[_Request | None] = queue.Queue()
        self._senders = [
            threading.Thread(target=self._send, name=f"sender-{number}") for number in range(connections)
        ]
        for sender in self._senders:
            sender.start()

    def send(self, study: Sent) -> None:
        """Hand a study to the senders."""
        with self.ledger.lock:
            self.ledger.sent.append(study)
        for number, images in enumerate(study.requests):
            self._requests.put(_Request(f"{study.study_uid}#{number}", study.site, images))

    def finish(self) -> None:
        """Return when everything handed over has been answered with success, or given up."""
        for _ in self._senders:
            self._requests.put(None)
        for sender in self._senders:
            sender.join()

    def _send(self) -> None:
        while (request := self._requests.get()) is not None:
            deadline = time.monotonic() + GIVE_UP_S
            attempt = 0
            while not self._try(request, attempt):
                attempt += 1
                if time.monotonic() > deadline:
                    with self.ledger.lock:
                        self.ledger.failures.append(request.name)
                    break
                time.sleep(RETRY_S)

    def _try(self, request: _Request, attempt: int) -> bool:
        """Send once on a new connection, as many devices do; whether everything was acknowledged."""
        ledger = self.ledger
        with httpx.Client(trust_env=False) as client:
            with ledger.lock:
                ledger.open[request.name] = attempt
            try:
                token = self._tokens[request.site]
                answer = stow_client.store(
                    client, self._address, token, [image.data for image in request.images]
                )
            except httpx.ConnectError:
                return False
            except httpx.HTTPError:
                with ledger.lock:
                    ledger.broken[request.name] += 1
                return False
            finally:
                with ledger.lock:
                    del ledger.open[request.name]
        return self._heard(request, answer)

    def _heard(self, request: _Request, answer: stow_client.Answer) -> bool:
        """Note every instance that the answer names, whatever its status; it may be a part of them."""
        named = set(answer.accepted) if answer.status in (200, 202) else set()
        with self.ledger.lock:
            self.ledger.acknowledged += [
                Acknowledged(request.site, image.study_uid, image.sop_instance_uid, image.sha256)
                for image in request.images
                if image.sop_instance_uid in named
            ]
            done = answer.status == httpx.codes.OK and len(named) == len(request.images)
            if done and self.ledger.broken[request.name]:
                self.ledger.recovered.add(request.name)
        return done


def feed(
    department: Department,
    studies: Callable[[int], Sent],
    *,
    least: int,
    pause_s: float,
    more: Callable[[], bool],
) -> None:
    """Hand over studies one by one, at least so many, and on as long as more are wanted."""
    number = 0
    while number < least or more():
        department.send(studies(number))
        number += 1
        time.sleep(pause_s)


def mixed(number: int, sites: Sequence[str]) -> Sent:
    """Every other study an X-ray, two of three of which alert; else an ultrasound, or a CT series in one or two requests."""
    site = sites[number // 4 % len(sites)]
    if number % 2 == 0:
        return xray(number, site, alerting=number % 6 != 0)
    if number % 4 == 1:
        return ultrasound(number, site)
    return ct(number, site, slices=3 + number % 3, requests=1 + number // 4 % 2)
