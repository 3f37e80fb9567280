"""Why a file was not de-identified: a closed vocabulary, so that a reason can be published and counted."""

from __future__ import annotations

from typing import Final

REASONS: Final = frozenset(
    {
        "not-dicom",  # no "DICM" prefix at byte 128 (PS3.10 §7.1)
        "truncated",  # an element claims more bytes than the file has, or a sequence never ends
        "malformed",  # the data set cannot be walked or decoded
        "too-large",  # inflates or nests beyond the limits of the walker
        "deadline",  # the walk took longer than any real file needs
        "missing-uids",  # no SOP Class, Study, Series or SOP Instance UID
        "invalid-uids",  # one of those is no UID (PS3.5 §9.1), for example a path
        "unsupported-transfer-syntax",  # unknown or private
        "unsupported-content",  # a voice or unknown: audio, raw data, DICOMDIR; pixels in an item that is no icon
        "pixels-unreadable",  # at risk, and nothing here decodes them: films, floating point, damage
        "pixels-too-large",  # at risk, and more of them than one file may hold in memory
        "pixels-deadline",  # at risk, and not cleaned in time
        "pixels-text-remains",  # at risk, and text was still found after all that was found had been blanked
        "verification-failed",  # the output was read again and was not clean
    }
)


class RefusedError(Exception):
    """This file is not de-identified, now or on any retry: keep it encrypted, publish only the reason.

    Parameters
    ----------
    reason
        One of `REASONS`. The message is the reason and nothing else: never a value of the file.
    """

    def __init__(self, reason: str) -> None:
        if reason not in REASONS:
            raise ValueError(f"{reason!r} is no documented reason")
        super().__init__(reason)
        self.reason = reason


class MoreNeededError(Exception):
    """The head that was given ends before the header does.

    Parameters
    ----------
    size
        Bytes from the start of the file that are needed at least.
    """

    def __init__(self, size: int) -> None:
        super().__init__(f"needs {size} bytes")
        self.size = size
