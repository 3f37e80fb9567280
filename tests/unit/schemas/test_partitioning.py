from __future__ import annotations

import pytest

from schemas.partitioning import murmur2, partition_of


@pytest.mark.parametrize(
    ("data", "signed"),
    [
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_the_hash_is_that_of_the_java_client(data, signed):
    assert murmur2(data) == signed % 2**32


@pytest.mark.parametrize(
    ("key", "partitions", "number"), [(b"21", 4, 0), (b"abc", 1000, 107), (b"foobar", 1, 0)]
)
def test_a_partition_is_the_positive_hash_modulo_their_number(key, partitions, number):
    assert partition_of(key, partitions) == number


def test_pseudonyms_spread_over_all_partitions():
    counts = [0] * 6
    for number in range(6000):
        counts[partition_of(b"st-%032x" % number, 6)] += 1
    assert min(counts) > 800
