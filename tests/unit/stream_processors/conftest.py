"""What the tests of this folder share."""

from tests.support.faust_runner import runner

__all__ = ["runner"]
