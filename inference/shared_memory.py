"""Input tensors through system shared memory, where client and server share a host: the tensor is copied once and not sent."""

from __future__ import annotations

import asyncio
import math
import os
from collections.abc import Mapping
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import tritonclient.grpc.aio as triton
import tritonclient.utils.shared_memory as regions
from numpy.typing import NDArray
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

from inference.backend import Rows, batch_bytes

FOLDER = Path("/dev/shm")  # noqa: S108 - where the system has its regions
LARGEST = 8 << 20
"""Bytes of one region: sixteen slices of 512 × 512 of 16 bits; larger requests are sent."""
REGIONS = 4
"""At once: with as many as there are batches in flight none waits. 32 MB of the 64 that containers have."""
PAUSE_S = 30.0
"""How long requests are sent after the server did not know a region: until it is up again, with its models."""
Region = tuple[str, Any]
"""Name and handle."""
LOOPBACK = frozenset({"127.0.0.1", "localhost", "[::1]"})


def shares_host(address: str) -> bool:
    """Whether the server at host:port is on this machine by its address, and there are regions to share."""
    return address.rpartition(":")[0] in LOOPBACK and FOLDER.is_dir()


class SharedInputs:
    """A few regions that requests take in turns. One event loop; :meth:`close` removes them.

    A server that was started again, or that sees another /dev/shm, does not know the regions: from :meth:`forget` on
    :meth:`lend` says None for :data:`PAUSE_S`, requests are sent instead, and then it is tried with new ones.
    """

    def __init__(self, client: triton.InferenceServerClient) -> None:
        self._client = client
        self._prefix = f"radstream-client-{os.getpid()}-{id(self):x}"
        self._numbers = count()
        self._free: list[Region] = []
        self._made: list[Region] = []
        self._usable_from = 0.0
        self._making = asyncio.Lock()

    async def lend(self, arrays: Mapping[str, Rows]) -> tuple[Region, list[triton.InferInput]] | None:
        """A region with the arrays in it and the inputs that point there, or None where they must be sent."""
        if asyncio.get_running_loop().time() < self._usable_from or batch_bytes(arrays) > LARGEST:
            return None
        async with self._making:
            if not self._free and not await self._make():
                return None
            if not self._free:
                return None
            region = self._free.pop()
        inputs, offset = [], 0
        for name, rows in arrays.items():
            there = _placed(region, rows, offset)
            tensor = triton.InferInput(name, list(there.shape), np_to_triton_dtype(there.dtype))
            tensor.set_shared_memory(region[0], there.nbytes, offset=offset)
            inputs.append(tensor)
            offset += there.nbytes
        return region, inputs

    def give_back(self, region: Region) -> None:
        """Hand a region back once nobody waits for its request's answer: answered, refused, late or cancelled.

        The server may read a late request's input after that, and find the next one's in it. It changes nothing: the server
        only reads here, and the answer that it makes of it is nobody's.
        """
        if region in self._made:
            self._free.append(region)
        else:
            _destroy(region)

    def forget(self) -> None:
        """Send for a while; regions that are lent go when they are given back."""
        self._usable_from = asyncio.get_running_loop().time() + PAUSE_S
        for region in self._free:
            _destroy(region)
        self._made.clear()
        self._free.clear()

    async def close(self) -> None:
        """Remove the regions, at the server and here."""
        self._usable_from = math.inf
        for region in self._made:
            with suppress(InferenceServerException):
                await self._client.unregister_system_shared_memory(region[0], client_timeout=1.0)
            _destroy(region)
        self._made.clear()
        self._free.clear()

    async def _make(self) -> bool:
        """Make and register one more region. False where there are enough, or it cannot be done."""
        if len(self._made) >= REGIONS:
            return False
        name = f"{self._prefix}-{next(self._numbers)}"
        try:
            region = (name, regions.create_shared_memory_region(name, f"/{name}", LARGEST))
        except regions.SharedMemoryException:
            self.forget()
            return False
        try:
            await self._client.register_system_shared_memory(name, f"/{name}", LARGEST, client_timeout=5.0)
        except InferenceServerException:
            _destroy(region)
            self.forget()
            return False
        except asyncio.CancelledError:
            _destroy(region)
            raise
        self._made.append(region)
        self._free.append(region)
        return True


def _placed(region: Region, rows: Rows, offset: int) -> NDArray[Any]:
    """The rows as one array that lies in the region, ``offset`` bytes from its beginning."""
    shape = (len(rows), *rows[0].shape)
    there: NDArray[Any] = regions.get_contents_as_numpy(region[1], rows[0].dtype, shape, offset)
    return np.stack(tuple(rows), out=there)


def _destroy(region: Region) -> None:
    with suppress(regions.SharedMemoryException):
        regions.destroy_shared_memory_region(region[1])


def remove_leftovers() -> int:
    """Remove the regions of clients that were killed; returns how many."""
    removed = 0
    for region in FOLDER.glob("radstream-client-*"):
        pid = region.name.split("-")[2]
        if pid.isdigit() and not Path(f"/proc/{pid}").exists():
            region.unlink(missing_ok=True)
            removed += 1
    return removed
