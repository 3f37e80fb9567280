"""How long one walk may go on: a hostile file must end as soon as an honest one."""

from __future__ import annotations

import time
from typing import Final

from stream_processors.deidentification.refusal import RefusedError

MAX_ITEMS: Final = 1_000_000
"""Items and fragments of one file, and what is noted of its elements; a large enhanced object has some 100,000."""

MAX_SECONDS: Final = 20.0
"""Of processor time of one file's walk; a header of 100 MB takes less. Not by the clock: what a starved
machine refused, an idle one would not."""

ITEMS_BETWEEN_LOOKS: Final = 256
"""Items from one look at the time to the next: asking the kernel for it costs more than an item's walk."""


class Budget:
    """Items and processor time of one walk; its time runs from the first look at it."""

    def __init__(self) -> None:
        self.items = 0
        self.until = -1.0
        """Processor time at which the walk is given up; below 0 until there was a look."""

    def resume(self) -> None:
        """Let time run anew: what a policy took for the pixels is not the walk's."""
        self.until = -1.0

    def spend(self) -> None:
        """Count an item.

        Raises
        ------
        RefusedError
            too-large or deadline, when the walk has had all that a file may have.
        """
        self.items += 1
        if self.items > MAX_ITEMS:
            raise RefusedError("too-large")
        if not self.items % ITEMS_BETWEEN_LOOKS:
            self.look()

    def look(self, noted: int = 0) -> None:
        """Look at the time, and at how much was noted of single elements: memory is bounded, too.

        Raises
        ------
        RefusedError
            too-large or deadline, when the walk has had all that a file may have.
        """
        if noted > MAX_ITEMS:
            raise RefusedError("too-large")
        now = time.thread_time()
        if self.until < 0:
            self.until = now + MAX_SECONDS
        if now > self.until:
            raise RefusedError("deadline")
