"""Who is behind a pseudonym: encrypted rows, a purpose and an audit event on every read."""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from runtime.audit import Auditor
from runtime.errors import DeadLetterError
from runtime.keyring import KeyRing, bound
from runtime.ports import Tables
from schemas.rows import VaultEntryRow

NONCE_BYTES = 12
"""bytes; random, which is safe for 2^32 entries under one key (NIST SP 800-38D §8.3): rotate before that."""
PAD_BYTES = 256
"""bytes; entries are padded to a multiple, so that their length tells nobody the length of a name."""
PURPOSE = b"radstream vault 1"
"""Separates this key from others derived from the same master."""
VAULT_READ = "vault.read"
"""Action: identities were put beside pseudonyms."""
CORRUPT = "vault-entry-corrupt"
"""Reason class: the entry was changed, moved to another subject, or is none of ours."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Identity:
    """What a study says about its person, as the sender wrote it. Printing one shows nothing."""

    patient_name: str = ""
    patient_id: str = ""
    issuer_of_patient_id: str = ""
    patient_birth_date: str = ""
    patient_sex: str = ""
    accession_number: str = ""
    study_instance_uid: str = ""
    study_date: str = ""
    study_time: str = ""
    study_description: str = ""
    referring_physician_name: str = ""
    institution_name: str = ""
    station: str = ""

    def __repr__(self) -> str:
        """Name the class, nothing else."""
        return "Identity(…)"


class Vault:
    """Identities by site and study pseudonym.

    Parameters
    ----------
    tables
        Where the encrypted rows are.
    keys
        Keys that seal and open.
    auditor
        Publishes each read before it is answered.
    """

    def __init__(self, tables: Tables, keys: KeyRing, auditor: Auditor) -> None:
        self._tables = tables
        self._keys = keys
        self._auditor = auditor

    def store(self, site: str, subject: str, identity: Identity, *, at: int) -> None:
        """Write an identity behind a study's pseudonym; of several the latest decision stays.

        Parameters
        ----------
        at
            UTC microseconds of the receipt.
        """
        key_id = self._keys.current
        plain = json.dumps(asdict(identity), ensure_ascii=False).encode("utf-8", "surrogatepass")
        padded = plain + b" " * (-len(plain) % PAD_BYTES)
        nonce = secrets.token_bytes(NONCE_BYTES)
        sealed = nonce + self._aead(key_id).encrypt(nonce, padded, bound(site, subject))
        self._tables.write(VaultEntryRow(site=site, subject=subject, key_id=key_id, ciphertext=sealed), at=at)

    def read(
        self, site: str, subjects: Sequence[str], *, purpose: str, actor: str, actor_role: str
    ) -> dict[str, Identity]:
        """Return the identities that are known, by subject, after one audit event for all of them is confirmed.

        Raises
        ------
        RetryError
            The audit event or the rows are not to be had now.
        DeadLetterError
            `vault-entry-corrupt`, or `unknown-vault-key`.
        ValueError
            No purpose or no actor is named.
        """
        found, damaged = self.read_sound(site, subjects, purpose=purpose, actor=actor, actor_role=actor_role)
        for error in damaged.values():
            raise error
        return found

    def read_sound(
        self, site: str, subjects: Sequence[str], *, purpose: str, actor: str, actor_role: str
    ) -> tuple[dict[str, Identity], dict[str, DeadLetterError]]:
        """Read like `read`; an entry that cannot be opened stands in the second answer and hides no other.

        Raises
        ------
        RetryError
            The audit event or the rows are not to be had now.
        ValueError
            No purpose or no actor is named.
        """
        if not purpose or not actor:
            raise ValueError("the vault opens for a named purpose and actor only")
        if not subjects:
            return {}, {}
        self._auditor.used(site, subjects, VAULT_READ, purpose, actor=actor, actor_role=actor_role)
        found: dict[str, Identity] = {}
        damaged: dict[str, DeadLetterError] = {}
        for subject in dict.fromkeys(subjects):
            row = self._tables.get(VaultEntryRow, site=site, subject=subject)
            if row is None:
                continue
            try:
                found[subject] = self._opened(row)
            except DeadLetterError as error:
                damaged[subject] = error
        return found, damaged

    def _opened(self, row: VaultEntryRow) -> Identity:
        sealed = row.ciphertext or b""
        try:
            plain = self._aead(row.key_id or "").decrypt(
                sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], bound(row.site, row.subject)
            )
            fields = json.loads(plain.decode("utf-8", "surrogatepass"))
        except (InvalidTag, ValueError) as error:
            raise DeadLetterError(CORRUPT) from error
        return Identity(**{name: fields.get(name, "") for name in Identity.__slots__})

    def _aead(self, key_id: str) -> AESGCM:
        return AESGCM(self._keys.derive(key_id, PURPOSE))
