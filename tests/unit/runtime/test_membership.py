from __future__ import annotations

import pytest

from runtime.errors import StopError
from runtime.membership import only_member


def test_a_member_id_is_held_by_one_and_free_again_after_it(tmp_path):
    with only_member(tmp_path / "run", "infer-0"):
        with pytest.raises(StopError), only_member(tmp_path / "run", "infer-0"):
            raise AssertionError("two hold one id")
        with only_member(tmp_path / "run", "infer-1"):
            held = True
    with only_member(tmp_path / "run", "infer-0"):
        assert held
