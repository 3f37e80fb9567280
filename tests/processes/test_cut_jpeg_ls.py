"""A decoder that takes seconds over a frame of four kilobytes that is cut."""

from __future__ import annotations

import pytest

from stream_processors.deidentification import clean_pixels
from tests.support.burned_in import Eye, Here
from tests.unit.stream_processors.deidentification import test_clean_compressed as compressed


def test_a_cut_frame_of_a_slow_decoder_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clean_pixels, "WORKERS", Here(Eye()))

    compressed.refuses_cut_fragments(compressed.CODINGS[compressed.SLOW_TO_REFUSE])
