"""What is remembered between files, and by whom, changes nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import pytest

from schemas.identifiers import PseudonymKey, Pseudonyms
from stream_processors.deidentification import DEFAULT, Profile, deidentify
from tests.support.dicoms import Options, ct_slice, dx_chest, mr_slice, to_bytes
from tests.support.memories import forget

SYNTAXES = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2")
PROFILES = (DEFAULT, Profile(frozenset()), Profile(frozenset({"113111", "113104", "113103"})))


def pseudonyms() -> Pseudonyms:
    return Pseudonyms(PseudonymKey("epoch-1", hashlib.sha256(b"a test master").digest()))


def files() -> list[bytes]:
    """Files of two patients that share much: series, texts with and without a name in them, three syntaxes."""
    made = []
    for patient, family in (("ZQPID1", "ZQFAMILY"), ("ZQPID2", "CHEST")):
        for syntax in SYNTAXES:
            options = Options(
                patient_id=patient,
                patient_name=f"{family}^ZQGIVEN",
                private=True,
                nested=True,
                transfer_syntax=syntax,
                extra={"StudyDescription": "CHEST of ZQFAMILY", "ProtocolName": "CHEST"},
            )
            made += [to_bytes(ct_slice(f"ct-{number}", options, number=number)) for number in (1, 2, 3)]
            made += [to_bytes(dx_chest("dx", options)), to_bytes(mr_slice("mr", options))]
    return made


def digests(order: Callable[[list[int]], list[int]], before_each: Callable[[], None]) -> dict[str, str]:
    """De-identify all files in an order, under three profiles."""
    made, names, found = files(), pseudonyms(), {}
    for number in order([*range(len(made))]):
        for which, profile in enumerate(PROFILES):
            before_each()
            data = deidentify(made[number], names, profile).data
            found[f"{number}/{which}"] = hashlib.sha256(data).hexdigest()
    return found


@pytest.mark.parametrize(
    "order", [list, lambda each: each[::-1], lambda each: [*each[1::2], *each[::2], *each]]
)
def test_warm_and_cold_memory_give_the_same_bytes(order: Callable[[list[int]], list[int]]) -> None:
    cold = digests(list, forget)
    forget()
    assert digests(order, lambda: None) == cold
    assert len(set(cold.values())) == len(cold)
