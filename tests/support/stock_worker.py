"""Faust as its own guide shows it, in five ways, on the same topics: what the tests of `stream_processors/app.py` compare with.

`python -m tests.support.stock_worker GROUP WAY` with `RADSTREAM_SETTINGS`.
"""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path
from typing import Any

import faust
from faust.serializers.codecs import Codec
from mode import Worker

from runtime.settings import load_settings
from tests.support.faust_worker import SINK, SOURCE

SUBJECT = re.compile(rb"(?:event|slow|surprise|large)-\d+")
"""The id of a test's instance, as it stands in the record."""
TOO_LARGE = 2_000_000
"""Bytes that the topic refuses."""


class Strict(Codec):
    """Refuses what holds no id, as a codec for Avro refuses what is no Avro."""

    def _loads(self, s: bytes) -> bytes:
        return bytes(SUBJECT.findall(s)[0])

    def _dumps(self, obj: Any) -> bytes:
        return bytes(obj)


def main(group: str, way: str) -> None:
    """Run the worker until it is killed."""
    settings = load_settings()
    assert settings.cluster is not None
    app = faust.App(
        group,
        broker=f"aiokafka://{settings.cluster.kafka.bootstrap}",
        broker_session_timeout=6,
        broker_heartbeat_interval=1,
        broker_rebalance_timeout=8,
        broker_request_timeout=10,
        broker_commit_interval=0.2,
        consumer_auto_offset_reset="earliest",
        consumer_group_instance_id=f"{group}-static" if way == "static" else None,
        producer_max_request_size=4 * TOO_LARGE,
        topic_allow_declare=False,
        web_enabled=False,
        datadir=Path(settings.data) / "stock",
    )
    source = "absent.v1" if way == "missing" else SOURCE
    topic = app.topic(source, key_serializer="raw", value_serializer=Strict() if way == "decoding" else "raw")
    sink = app.topic(SINK, key_serializer="raw", value_serializer="raw")

    async def echo(value: bytes) -> None:
        subject = SUBJECT.findall(value)[0]
        if subject.startswith(b"slow"):
            await asyncio.sleep(3600)
        if subject.startswith(b"surprise"):
            raise ZeroDivisionError
        padding = b" " * TOO_LARGE if subject.startswith(b"large") else b""
        await sink.send(key=b"key", value=subject + padding)  # type: ignore[unused-awaitable]  # that is the stock idiom

    async def each(stream: Any) -> None:
        async for value in stream:
            await echo(value)

    async def many(stream: Any) -> None:
        async for values in stream.take(4, within=1):
            for value in values:
                await echo(value)

    app.agent(topic, concurrency=4 if way == "concurrent" else 1)(many if way == "batch" else each)
    Worker(app, loglevel="WARNING").execute_from_commandline()


if __name__ == "__main__":
    main(*sys.argv[1:])
