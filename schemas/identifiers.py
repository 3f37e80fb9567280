"""Keyed pseudonyms and deterministic ids: the one implementation that every process shares.

Nothing here does I/O, keeps state or knows a clock, so two processes with the same site key give the
same name to the same thing without ever talking to each other.

Identity-bearing input (a UID, a patient id, an accession number) goes in; only HMAC-SHA256 output comes
out. The site is mixed in through the key (`site_key`), so two sites with equal ids never meet.
"""

from __future__ import annotations

import base64
import hmac
import itertools
import uuid
from dataclasses import dataclass, field

MIN_SECRET_BYTES = 32
"""bytes; the output size of SHA-256, below which an HMAC key is weaker than the hash (RFC 2104 §3)."""

MIN_DISTINCT_BYTES = 16
"""Distinct byte values in a secret: 32 random bytes have about 30, fewer than 16 once in more than 10^12."""

OPAQUE_BYTES = 16
"""bytes; 128 bits: among 10^12 studies the chance of one collision is about 10^-15."""

MIN_SHIFT_DAYS = 31
"""days; the least a date moves back, so that no clean object carries a date close to the true one."""

MAX_SHIFT_DAYS = 3650
"""days; ten years: wide enough to hide the year, near enough that devices and codes still make sense."""

PLACEHOLDER_PATIENT_IDS = frozenset(
    {
        "ANON", "ANONYM", "ANONYMOUS", "ANONYMIZED", "ANONYMISED", "DEIDENTIFIED", "DUMMY", "EMERGENCY",
        "ID", "JOHNDOE", "MISSING", "NA", "NAN", "NEW", "NIL", "NOID", "NONAME", "NONE", "NOTAVAILABLE",
        "NOTKNOWN", "NULL", "PATIENT", "PATIENTID", "PID", "TEMP", "TEST", "TESTPATIENT", "TRAUMA",
        "UNASSIGNED", "UNDEFINED", "UNIDENTIFIED", "UNK", "UNKNOWN", "UNNAMED",
        "123456", "1234567", "12345678", "123456789",
    }
)  # fmt: skip
"""What devices and people write when they know no id, upper case, letters and digits only.

Generous on purpose: to take a real id for a placeholder only splits one patient's studies, to take a
placeholder for a real id merges strangers.
"""

_RADSTREAM_NAMESPACE = uuid.UUID("6d0f4c1e-5f0b-5c39-9a54-0f6b2f1f6a53")
"""The uuid5 namespace of every deterministic id; changing it would rename all that was ever published."""


class WeakKeyError(ValueError):
    """A pseudonym key that could be guessed; the process must stop, not carry on with it."""


@dataclass(frozen=True)
class PseudonymKey:
    """The secret of one pseudonym epoch.

    Parameters
    ----------
    key_id
        Name of the epoch, published in every envelope; never the secret itself.
    secret
        At least 32 random raw bytes. Text is refused even when it looks random: decode hex or base64 first.

    Raises
    ------
    WeakKeyError
        When the secret is short, textual, repetitive or a counting sequence.
    """

    key_id: str
    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if not self.key_id:
            raise WeakKeyError("a pseudonym key needs a key id")
        weakness = _weakness(self.secret)
        if weakness:
            raise WeakKeyError(f"the secret of pseudonym key {self.key_id!r} {weakness}")


def site_key(master: PseudonymKey, site: str) -> PseudonymKey:
    """Derive the key of one site; the epoch (`key_id`) stays that of the master.

    Raises
    ------
    ValueError
        When `site` is empty: an unnamed site would share its names with every other unnamed site.
    """
    if not site:
        raise ValueError("a site key needs a site")
    return PseudonymKey(master.key_id, _mac(master.secret, "site-key", master.key_id, site))


@dataclass(frozen=True)
class Pseudonyms:
    """Names under one site key. Every method is a pure function of the key and its arguments.

    Leading and trailing spaces and NULs never count (PS3.5 §6.2 pads with them). An `issuer` is who
    assigned the id (Issuer of Patient ID, of Accession Number), "" where unknown.
    """

    key: PseudonymKey

    @property
    def key_id(self) -> str:
        """The epoch, for the envelope."""
        return self.key.key_id

    def study(self, issuer: str, study_uid: str) -> str:
        """`st-` and 32 hex digits: the key of topics, rows and objects of one study."""
        return "st-" + self._opaque("study", issuer, study_uid)

    def series(self, study_uid: str, series_uid: str) -> str:
        """`se-` and 32 hex digits; scoped by the study, since devices do reuse Series Instance UIDs."""
        return "se-" + self._opaque("series", study_uid, series_uid)

    def instance(self, sop_instance_uid: str) -> str:
        """`in-` and 32 hex digits."""
        return "in-" + self._opaque("instance", sop_instance_uid)

    def patient(self, issuer: str, patient_id: str) -> str:
        """`pt-` and 32 hex digits; for ids of unknown quality use `patient_key_for`."""
        return "pt-" + self._opaque("patient", issuer, patient_id)

    def patient_key_for(self, issuer: str, patient_id: str, study_uid: str) -> str:
        """`pt-` and 32 hex digits; a missing or placeholder id names the patient of this one study only."""
        if is_placeholder_patient_id(patient_id):
            return "pt-" + self._opaque("patient-of-study", study_uid)
        return self.patient(issuer, patient_id)

    def uid(self, original_uid: str) -> str:
        """Name a UID inside de-identified objects: `2.25.` and a UUID in decimal (PS3.5 §B.2), ≤ 44 long."""
        number = int.from_bytes(self._mac("uid", original_uid)[:OPAQUE_BYTES], "big")
        number = number & ~(0xF << 76) | (0x8 << 76)  # version 8, "custom" (RFC 9562 §5.8)
        number = number & ~(0x3 << 62) | (0x2 << 62)  # variant (RFC 9562 §4.1)
        return f"2.25.{number}"

    def accession(self, issuer: str, accession: str) -> str:
        """16 characters A-Z 2-7 (80 bits; the longest that VR SH holds), "" for no accession number."""
        if not _significant(accession):
            return ""
        return base64.b32encode(self._mac("accession", issuer, accession)[:10]).decode("ascii")

    def patient_id(self, issuer: str, patient_id: str) -> str:
        """32 hex digits for Patient ID (LO) inside objects; differs from the `patient` key on purpose.

        An object that is handed out then does not name the key under which topics and tables speak of
        its patient.
        """
        return self._opaque("patient-id", issuer, patient_id)

    def date_shift_days(self, patient_key: str) -> int:
        """Days to add to every date of one patient, -3650 to -31.

        Backwards, so that no shifted date lies in the future; one shift per patient, so that intervals
        between studies survive.
        """
        number = int.from_bytes(self._mac("date-shift", patient_key)[:8], "big")
        return -(MIN_SHIFT_DAYS + number % (MAX_SHIFT_DAYS - MIN_SHIFT_DAYS + 1))

    def raw_digest(self, sha256: bytes) -> str:
        """64 hex digits: a keyed digest of a raw object, which only the key's holder can confirm."""
        return hmac.digest(self.key.secret, _encode(b"raw-digest", sha256), "sha256").hex()

    def authenticator(self, header: bytes) -> str:
        """64 hex digits over a de-identified header: how our own output is recognised.

        Compare with `hmac.compare_digest`.
        """
        return hmac.digest(self.key.secret, _encode(b"authenticator", header), "sha256").hex()

    def _mac(self, domain: str, *ids: str) -> bytes:
        return _mac(self.key.secret, domain, *map(_significant, ids))

    def _opaque(self, domain: str, *ids: str) -> str:
        return self._mac(domain, *ids)[:OPAQUE_BYTES].hex()


def is_placeholder_patient_id(patient_id: str) -> bool:
    """Whether a Patient ID says "no id": empty, punctuation, all zeros, nines or X, or a listed word."""
    bare = "".join(filter(str.isalnum, patient_id.upper()))
    return not bare or set(bare) in ({"0"}, {"9"}, {"X"}) or bare in PLACEHOLDER_PATIENT_IDS


def deterministic_uuid(*parts: str) -> str:
    """Make a uuid5 over length-prefixed parts: equal parts give the equal id on every replay.

    Not keyed: never give it an identity-bearing part, give it a pseudonym.
    """
    return str(uuid.uuid5(_RADSTREAM_NAMESPACE, "".join(f"{len(part)}:{part}" for part in parts)))


def event_id(event: str, *parts: str) -> str:
    """Name one event by its type and what makes it that one (pseudonyms, revisions, digests).

    A redelivered input thus yields the same id again: effects stay idempotent.
    """
    return deterministic_uuid("event", event, *parts)


def _mac(secret: bytes, *parts: str) -> bytes:
    encoded = _encode(*[part.encode("utf-8", "surrogatepass") for part in parts])
    return hmac.digest(secret, encoded, "sha256")


def _encode(*parts: bytes) -> bytes:
    """Join parts so that no two lists give the same bytes: each follows its length (8 bytes, big endian)."""
    return b"".join([len(part).to_bytes(8, "big") + part for part in parts])


def _significant(value: str) -> str:
    return value.strip(" \0")


def _weakness(secret: bytes) -> str:
    """Why a secret must be refused, "" when nothing speaks against it."""
    if len(secret) < MIN_SECRET_BYTES:
        return f"is shorter than {MIN_SECRET_BYTES} bytes"
    if all(0x20 <= byte < 0x7F or byte in b"\t\r\n" for byte in secret):
        return "is text; give raw random bytes (decode hex or base64 first)"
    if len(set(secret)) < MIN_DISTINCT_BYTES:
        return "repeats a few byte values"
    if any(secret == (secret[:n] * len(secret))[: len(secret)] for n in range(1, len(secret) // 2 + 1)):
        return "repeats itself"
    if len({(after - before) % 256 for before, after in itertools.pairwise(secret)}) == 1:
        return "is a counting sequence"
    return ""
