"""Exact walks: which bytes change, where, and by which rule, in each encoding."""

from __future__ import annotations

import hashlib
import struct
import time

import pytest

from schemas.identifiers import PseudonymKey, Pseudonyms
from stream_processors.deidentification import DEFAULT, MoreNeededError, Profile, RefusedError, budget, walker
from stream_processors.deidentification.edits import spliced
from stream_processors.deidentification.encoding import (
    EXPLICIT_BIG,
    EXPLICIT_LITTLE,
    IMPLICIT_LITTLE,
    UNDEFINED,
    Encoding,
)
from stream_processors.deidentification.replacing import replacing_for
from stream_processors.deidentification.walker import Walker

NAMES = Pseudonyms(PseudonymKey("epoch-1", hashlib.sha256(b"a test master").digest()))
SAFE = Profile(DEFAULT.options | {"113111"})
EVERY = (EXPLICIT_LITTLE, IMPLICIT_LITTLE, EXPLICIT_BIG)
NAMES_OF = ("explicit", "implicit", "big")
IMAGES, GROUPS = 0x00081140, 0x52009229
LONG = ("OB", "OW", "SQ", "UN", "UT")


pytestmark = pytest.mark.usefixtures("cold")


def element(encoding: Encoding, tag: int, vr: str, value: bytes, length: int | None = None) -> bytes:
    """One element, written by hand."""
    head = struct.pack(encoding.endian + "HH", tag >> 16, tag & 0xFFFF)
    length = len(value) if length is None else length
    if not encoding.explicit:
        return head + struct.pack("<I", length) + value
    if vr in LONG:
        return head + vr.encode() + b"\0\0" + struct.pack(encoding.endian + "I", length) + value
    return head + vr.encode() + struct.pack(encoding.endian + "H", length) + value


def item(encoding: Encoding, content: bytes, *, undefined: bool = False) -> bytes:
    mark = struct.pack(encoding.endian + "HHI", 0xFFFE, 0xE000, UNDEFINED if undefined else len(content))
    return mark + content + (struct.pack(encoding.endian + "HHI", 0xFFFE, 0xE00D, 0) if undefined else b"")


def sequence(encoding: Encoding, tag: int, *items: bytes, undefined: bool = False, vr: str = "SQ") -> bytes:
    content = b"".join(items)
    if not undefined:
        return element(encoding, tag, vr, content)
    return element(encoding, tag, vr, content, UNDEFINED) + end(encoding)


def end(encoding: Encoding) -> bytes:
    return struct.pack(encoding.endian + "HHI", 0xFFFE, 0xE0DD, 0)


def walk(raw: bytes, encoding: Encoding, profile: Profile = DEFAULT) -> Walker:
    """Walk a whole data set to its end."""
    made = Walker(raw, len(raw), profile, replacing_for(NAMES, profile, "", "ZQPID", "1.2.3", b""))
    assert made.data_set(encoding, 0, len(raw)) == len(raw)
    return made


def outcome(raw: bytes, encoding: Encoding, profile: Profile = DEFAULT) -> bytes:
    made = walk(raw, encoding, profile)
    changed = spliced(raw, 0, len(raw), made.edits)
    assert made.delta == len(changed) - len(raw)
    return changed


@pytest.mark.parametrize("encoding", EVERY, ids=NAMES_OF)
@pytest.mark.parametrize("undefined", [False, True])
@pytest.mark.parametrize("items_undefined", [False, True])
def test_lengths_follow_what_changes_at_every_level(
    encoding: Encoding, undefined: bool, items_undefined: bool
) -> None:
    def built(name: bytes, study: bytes, image: bytes) -> bytes:
        inner = element(encoding, 0x00080018, "UI", image) + name
        nested = sequence(
            encoding, IMAGES, item(encoding, inner, undefined=items_undefined), undefined=undefined
        )
        modality = element(encoding, 0x00080060, "CS", b"CT")
        first = item(encoding, modality + nested, undefined=items_undefined)
        second = item(encoding, name, undefined=items_undefined)
        both = sequence(encoding, GROUPS, first, second, undefined=undefined)
        return modality + element(encoding, 0x0020000D, "UI", study) + both

    def padded(uid: str) -> bytes:
        return uid.encode() + b"\0" * (len(uid) % 2)

    raw = built(element(encoding, 0x00100010, "PN", b"ZQNAME"), b"1.22", b"1.23")
    clean = built(
        element(encoding, 0x00100010, "PN", b""), padded(NAMES.uid("1.22")), padded(NAMES.uid("1.23"))
    )
    # the inner data set is out of order for a strict reader, but for the walk order does not matter
    assert outcome(raw, encoding) == clean


@pytest.mark.parametrize("encoding", EVERY, ids=NAMES_OF)
def test_what_does_not_change_is_not_edited(encoding: Encoding) -> None:
    modality = element(encoding, 0x00080060, "CS", b"CT")
    kernel = element(encoding, 0x00181210, "SH", b"HEAD")
    spacing = element(encoding, 0x00280030, "DS", b"0.5\\0.5 ")
    rows = element(encoding, 0x00280010, "US", struct.pack(encoding.endian + "H", 512))
    inside = item(encoding, modality + kernel + spacing + rows)
    raw = (
        modality
        + sequence(encoding, IMAGES, inside, inside)
        + sequence(encoding, GROUPS, inside, undefined=True)
    )
    made = walk(raw, encoding)
    assert made.edits == []
    assert made.delta == 0
    assert sorted(set(made.texts)) == [b"HEAD"]
    assert set(made.numbers) == {b"0.5\\0.5 "}
    assert made.budget.items == 4  # with the delimiter


@pytest.mark.parametrize("encoding", EVERY, ids=NAMES_OF)
def test_a_change_of_equal_length_leaves_the_lengths_alone(encoding: Encoding) -> None:
    raw = sequence(encoding, IMAGES, item(encoding, element(encoding, 0x00102160, "SH", b"")
                                          + element(encoding, 0x00101010, "AS", b"093Y")))  # fmt: skip
    made = walk(raw, encoding)
    assert outcome(raw, encoding) == raw.replace(b"093Y", b"090Y")
    assert [edit[5] for edit in made.edits] == ["keep"]


@pytest.mark.parametrize("encoding", EVERY, ids=NAMES_OF)
@pytest.mark.parametrize("items_undefined", [False, True])
@pytest.mark.parametrize(
    ("tag", "vr", "value", "left"),
    [
        (0x00091001, "LO", b"ZQ", None),  # goes whole
        (0x00181000, "LO", b"ZQ", b"REMOVED "),  # becomes longer
        (0x00081010, "SH", b"ZQ STATION NAME ", b"REMOVED "),  # becomes shorter
        (0x00080030, "TM", b"101112", b""),
        (0x00080030, "TM", b"", b""),  # has nothing to lose
        (0x00080031, "TM", b"", b"000000"),  # must have a value
        (0x00100010, "PN", b"", b""),
        (0x00081070, "PN", b"", b"REMOVED "),
    ],
)
def test_lengths_follow_what_goes_and_what_is_put_in_its_place(
    encoding: Encoding, items_undefined: bool, tag: int, vr: str, value: bytes, left: bytes | None
) -> None:
    kernel = element(encoding, 0x00181210, "SH", b"HEAD")

    def built(between: bytes) -> bytes:
        return sequence(
            encoding, IMAGES, item(encoding, kernel + between + kernel, undefined=items_undefined)
        )

    clean = b"" if left is None else element(encoding, tag, vr, left)
    raw = built(element(encoding, tag, vr, value))
    assert outcome(raw, encoding) == built(clean)
    assert bool(walk(raw, encoding).edits) == (left != value)


def test_a_text_known_as_harmless_is_kept_for_the_look_for_names_again() -> None:
    kernel = element(EXPLICIT_LITTLE, 0x00181210, "SH", b"HEAD")
    for _ in range(2):
        assert walk(kernel, EXPLICIT_LITTLE).texts == [b"HEAD"]
    other = element(EXPLICIT_LITTLE, 0x00181210, "SH", b"ZQUNKNOWN ")
    assert b"ZQ" not in outcome(other, EXPLICIT_LITTLE)


def test_edits_say_where_and_by_which_rule() -> None:
    one = EXPLICIT_LITTLE
    name = element(one, 0x00100010, "PN", b"ZQNAME")
    issuer = element(one, 0x00100021, "LO", b"ZQ")
    deep = sequence(one, GROUPS, item(one, b""), item(one, issuer))
    raw = name + sequence(one, IMAGES, item(one, name), item(one, deep))
    said = [(edit[3], edit[4], edit[5]) for edit in walk(raw, one).edits if edit[5]]
    assert said == [
        ((), 0x00100010, "empty"),
        (((), IMAGES, 1), 0x00100010, "empty"),
        ((((), IMAGES, 2), GROUPS, 2), 0x00100021, "remove"),
    ]
    assert walk(raw, one).edits[0][:2] == (0, len(name))


@pytest.mark.parametrize("encoding", EVERY, ids=NAMES_OF)
@pytest.mark.parametrize("undefined", [False, True])
def test_a_sequence_that_goes_is_read_for_names_and_leaves_nothing(
    encoding: Encoding, undefined: bool
) -> None:
    removed, emptied, dummied = 0x00101002, 0x00081110, 0x00080082
    inside = item(encoding, element(encoding, 0x00100010, "PN", b"ZQNAME")
                  + element(encoding, 0x00181210, "SH", b"HEAD") + element(encoding, 0x00280030, "DS", b"12"))  # fmt: skip
    for tag, left in ((removed, b""), (emptied, encoding.element(emptied, "SQ", b""))):
        made = walk(sequence(encoding, tag, inside, undefined=undefined), encoding)
        assert outcome(sequence(encoding, tag, inside, undefined=undefined), encoding) == left
        assert made.identity.words == {"zqname"}
        assert (made.texts, made.numbers) == ([], [])
        assert len(made.edits) == 1
    dummy = outcome(sequence(encoding, dummied, inside, undefined=undefined), encoding)
    assert b"REMOVED" in dummy
    assert b"ZQ" not in dummy
    whole = sequence(encoding, emptied, inside, undefined=undefined)
    assert outcome(whole + element(encoding, 0x00101010, "AS", b"093Y"), encoding).endswith(b"090Y")


@pytest.mark.parametrize("undefined", [False, True])
def test_unknown_sequences_are_implicit_inside_explicit_ones(undefined: bool) -> None:
    one, inner = EXPLICIT_BIG, IMPLICIT_LITTLE
    content = item(
        inner, element(inner, 0x00100010, "PN", b"ZQNAME") + element(inner, 0x00080060, "CS", b"CT")
    )
    stays = item(inner, element(inner, 0x00100010, "PN", b"") + element(inner, 0x00080060, "CS", b"CT"))
    raw, clean = (
        element(one, IMAGES, "UN", each, UNDEFINED if undefined else None) for each in (content, stays)
    )
    tail = end(inner) if undefined else b""
    assert outcome(raw + tail, one) == clean + tail


def test_private_attributes_go_and_those_of_a_known_creator_stay_under_the_option() -> None:
    one = EXPLICIT_LITTLE
    creator = element(one, 0x00190010, "LO", b"GEMS_ACQU_01")
    known, other = element(one, 0x00191023, "DS", b"1.5 "), element(one, 0x001910FF, "DS", b"1.5 ")
    foreign = element(one, 0x00210010, "LO", b"ZQ FOREIGN")
    inside = element(one, 0x00211023, "DS", b"1.5 ")
    pixels = element(one, 0x00280010, "US", b"\0\2")
    raw = creator + known + other + foreign + inside + pixels
    assert outcome(raw, one) == pixels
    assert outcome(raw, one, SAFE) == creator + known + pixels
    swapped = creator.replace(b"\x19\0\x10\0", b"\x19\0\x11\0") + known
    assert outcome(swapped, one, SAFE) == creator.replace(b"\x19\0\x10\0", b"\x19\0\x11\0")
    assert outcome(element(one, 0x00190010, "LO", b"GEMS_ACQU_01 \0"), one, SAFE).startswith(
        b"\x19\0\x10\0LO"
    )
    assert outcome(element(one, 0x00210010, "LO", b"GEMS_ACQU_01"), one, SAFE) == b""
    for tag in (0x0019000F, 0x00190100):
        assert outcome(element(one, tag, "LO", b"GEMS_ACQU_01"), one, SAFE) == b""


@pytest.mark.parametrize("encoding", EVERY, ids=NAMES_OF)
def test_a_private_sequence_goes_whole_and_what_follows_stays(encoding: Encoding) -> None:
    inside = item(encoding, element(encoding, 0x00100010, "PN", b"ZQNAME"))
    after = element(encoding, 0x00280010, "US", b"\0\2")
    for profile in (DEFAULT, SAFE):
        for undefined in (False, True):
            raw = sequence(encoding, 0x00211001, inside, undefined=undefined) + after
            assert outcome(raw, encoding, profile) == after


@pytest.mark.parametrize("vr", ["OB", "OW"])
def test_fragments_of_an_icon_or_of_unknown_bytes_are_stepped_over(vr: str) -> None:
    one = EXPLICIT_LITTLE
    fragments = element(one, 0x00091001, vr, item(one, b"") + item(one, b"ZQFRAGMENT"), UNDEFINED) + end(one)
    after = element(one, 0x00280010, "US", b"\0\2")
    assert outcome(fragments + after, one) == after
    icon = element(one, 0x7FE00010, "OB", item(one, b"") + item(one, b"12345678"), UNDEFINED) + end(one)
    for undefined in (False, True):
        inside = sequence(one, 0x00880200, item(one, after + icon, undefined=undefined), undefined=undefined)
        assert outcome(inside + after, one) == after
        with pytest.raises(RefusedError, match="unsupported-content"):
            walk(sequence(one, IMAGES, item(one, after + icon), undefined=undefined), one)
    for broken, reason in (
        (fragments[:-8], "truncated"),
        (fragments[:-8] + after, "malformed"),
        (element(one, 0x00091001, "OB", struct.pack("<HHI", 0xFFFE, 0xE000, 99), UNDEFINED), "truncated"),
    ):
        with pytest.raises(RefusedError, match=reason):
            walk(broken, one)


@pytest.mark.parametrize(
    ("vr", "value", "after"),
    [("OB", 0xFFFFFFFF, True), ("OW", 8, False)],
)
def test_pixels_end_the_walk_and_are_only_named(vr: str, value: int, after: bool) -> None:
    one = EXPLICIT_LITTLE
    head = element(one, 0x00280010, "US", b"\0\2")
    raw = head + element(one, 0x7FE00010, vr, b"12345678", value)
    trailing = raw + (b"" if after else element(one, 0xFFFCFFFC, "OB", b"ZQ"))
    made = Walker(trailing, len(trailing), DEFAULT, replacing_for(NAMES, DEFAULT, "", "ZQPID", "1.2.3", b""))
    assert made.data_set(one, 0, len(trailing)) == len(raw)
    assert (made.pixels_at, made.pixels_value_at, made.encapsulated) == (len(head), len(head) + 12, after)
    short = Walker(raw[:-1], len(raw) - 1, DEFAULT, made.replacing)
    if not after:
        with pytest.raises(RefusedError, match="truncated"):
            short.data_set(one, 0, len(raw) - 1)


def broken() -> dict[str, tuple[bytes, str]]:
    one = EXPLICIT_LITTLE
    modality = element(one, 0x00080060, "CS", b"CT")
    good = sequence(one, IMAGES, item(one, modality))
    long_item = good.replace(struct.pack("<HHI", 0xFFFE, 0xE000, 10), struct.pack("<HHI", 0xFFFE, 0xE000, 12))
    short_item = good.replace(struct.pack("<HHI", 0xFFFE, 0xE000, 10), struct.pack("<HHI", 0xFFFE, 0xE000, 8))
    open_item = item(one, modality, undefined=True)[:-8]
    return {
        "an item longer than its sequence": (long_item + bytes(8), "truncated"),
        "an item that cuts an element": (short_item, "truncated"),
        "a sequence longer than what is around it": (
            sequence(one, GROUPS, item(one, good[:8] + struct.pack("<I", 40) + good[12:])), "truncated"),
        "an item ended by a sequence's delimiter": (
            element(one, IMAGES, "SQ", open_item + end(one) + end(one), UNDEFINED), "truncated"),
        "a delimiter in an item of defined length": (
            sequence(one, IMAGES, item(one, item(one, b"", undefined=True)[8:] + modality)), "malformed"),
        "a sequence of undefined length with none": (element(one, IMAGES, "SQ", item(one, b""), UNDEFINED), "truncated"),
        "a delimiter of items in a sequence of defined length": (
            element(one, IMAGES, "SQ", end(one)), "malformed"),
        "an item at top level": (item(one, modality), "malformed"),
        "a text of undefined length": (element(one, 0x00187006, "UT", b"ab", UNDEFINED), "malformed"),
        "an element past its item": (
            sequence(one, IMAGES, item(one, modality[:6] + b"\x08\0CT")) + bytes(8), "truncated"),
    }  # fmt: skip


@pytest.mark.parametrize("name", sorted(broken()))
def test_what_is_broken_is_refused_with_its_reason(name: str) -> None:
    raw, reason = broken()[name]
    with pytest.raises(RefusedError, match=f"^{reason}$"):
        walk(raw, EXPLICIT_LITTLE)


@pytest.mark.parametrize(("depth", "refused"), [(walker.MAX_DEPTH, False), (walker.MAX_DEPTH + 1, True)])
def test_nesting_has_a_limit(depth: int, refused: bool) -> None:
    raw = b""
    for _ in range(depth):
        raw = sequence(EXPLICIT_LITTLE, GROUPS, item(EXPLICIT_LITTLE, raw))
    if not refused:
        assert outcome(raw, EXPLICIT_LITTLE) == raw
        return
    with pytest.raises(RefusedError, match="too-large"):
        walk(raw, EXPLICIT_LITTLE)


def test_items_have_a_limit_and_time_too(monkeypatch: pytest.MonkeyPatch) -> None:
    one = EXPLICIT_LITTLE
    raw = sequence(one, GROUPS, *[item(one, b"")] * 5)
    monkeypatch.setattr(budget, "MAX_ITEMS", 5)
    assert outcome(raw, one) == raw
    monkeypatch.setattr(budget, "MAX_ITEMS", 4)
    with pytest.raises(RefusedError, match="too-large"):
        walk(raw, one)


def test_time_is_looked_at_now_and_then_and_runs_anew_when_it_is_told_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one = EXPLICIT_LITTLE
    raw = sequence(one, GROUPS, *[item(one, b"")] * 5)
    monkeypatch.setattr(budget, "ITEMS_BETWEEN_LOOKS", 5)
    late = Walker(raw, len(raw), DEFAULT, replacing_for(NAMES, DEFAULT, "", "ZQPID", "1.2.3", b""))
    late.data_set(one, 0, len(raw))
    assert 0 < late.budget.until - time.thread_time() <= budget.MAX_SECONDS
    late.budget.until = time.thread_time() / 2
    with pytest.raises(RefusedError, match="deadline"):
        late.data_set(one, 0, len(raw))
    late.budget.resume()
    assert late.data_set(one, 0, len(raw)) == len(raw)


@pytest.mark.parametrize("encoding", EVERY, ids=NAMES_OF)
def test_a_head_asks_for_at_least_twice_as_much_and_for_no_more_than_there_is(encoding: Encoding) -> None:
    inside = item(encoding, element(encoding, 0x00080060, "CS", b"CT") * 3)
    raw = element(encoding, 0x00181210, "SH", b"HEAD") * 9 + sequence(encoding, GROUPS, inside, inside)
    asked = [needed(raw, given, encoding) for given in range(1, len(raw))]
    known = [(given, more) for given, more in enumerate(asked, start=1) if more]
    assert [(given, more) for given, more in known if not min(len(raw), 2 * given) <= more <= len(raw)] == []
    assert len(known) > len(raw) // 2


def test_more_of_a_file_is_asked_for_only_where_it_could_help() -> None:
    one = EXPLICIT_LITTLE
    cut = element(one, 0x00181210, "SH", b"HEAD", 40)
    inside = sequence(one, GROUPS, item(one, cut))
    replacing = replacing_for(NAMES, DEFAULT, "", "ZQPID", "1.2.3", b"")
    with pytest.raises(MoreNeededError):
        Walker(cut, 400, DEFAULT, replacing).data_set(one, 0, 400)
    with pytest.raises(MoreNeededError):
        Walker(cut, 48, DEFAULT, replacing).data_set(one, 0, 48)
    for size in (47, len(cut)):
        with pytest.raises(RefusedError, match="truncated"):
            Walker(cut, size, DEFAULT, replacing).data_set(one, 0, size)
    with pytest.raises(RefusedError, match="truncated"):  # it leaves its item, whatever comes
        Walker(inside, 400, DEFAULT, replacing).data_set(one, 0, 400)


def needed(raw: bytes, given: int, encoding: Encoding) -> int:
    """Bytes that a walk over a head asks for; 0 within an element's head, where the engine asks for all."""
    made = Walker(raw[:given], len(raw), DEFAULT, replacing_for(NAMES, DEFAULT, "", "ZQPID", "1.2.3", b""))
    try:
        made.data_set(encoding, 0, len(raw))
    except MoreNeededError as more:
        return more.size
    except struct.error:
        return 0
    raise AssertionError(given)


def test_harmless_texts_are_remembered_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    one = EXPLICIT_LITTLE
    monkeypatch.setattr(walker, "MAX_REMEMBERED", 2)
    monkeypatch.setattr(walker, "MAX_REMEMBERED_BYTES", 8)
    for value in (b"HEAD", b"HEAD AND", b"HEAD AND HEAD ", b"NECK", b"ZQ ZQTEXT"[:8]):
        walk(element(one, 0x00181210, "SH", value), one)
    assert set(walker._harmless) == {("SH", b"HEAD"), ("SH", b"HEAD AND")}


@pytest.mark.parametrize(
    ("tag", "vr", "value", "texts"),
    [
        (0x00181210, "SH", b"HEAD", [b"HEAD"]),
        (0x00187006, "LT", b"HEAD", [b"HEAD"]),
        (0x00187006, "LT", b"HEAD of ZQX ", [b"HEAD of"]),
        (0x00080100, "SH", b"T-1 ", [b"T-1 "]),
        (0x00081090, "LO", b"HEAD", [b"HEAD"]),
        (0x00100040, "CS", b"F ", []),
        (0x00100010, "PN", b"ZQ", []),
    ],
)
def test_texts_that_stay_are_kept_for_the_look_for_names(
    tag: int, vr: str, value: bytes, texts: list[bytes]
) -> None:
    assert walk(element(EXPLICIT_LITTLE, tag, vr, value), EXPLICIT_LITTLE).texts == texts


def test_numbers_that_stay_are_kept_and_text_among_them_goes() -> None:
    one = EXPLICIT_LITTLE
    number = element(one, 0x00280030, "DS", b"-1.5e+3\\2E1 \0".ljust(14, b" "))
    made = walk(number, one)
    assert (made.edits, len(made.numbers)) == ([], 1)
    assert outcome(element(one, 0x00280030, "DS", b"1.5x"), one) == element(one, 0x00280030, "DS", b"")


def test_the_sequence_of_methods_is_found_at_top_level_only() -> None:
    one = EXPLICIT_LITTLE
    for undefined in (False, True):
        methods = sequence(one, walker.METHODS, item(one, b""), undefined=undefined)
        lead = element(one, 0x00080060, "CS", b"CT")
        last = len(lead + methods)
        assert walk(lead + methods, one).methods == (len(lead), len(lead) + 12, last - 8 * undefined, last)
        nested = walk(sequence(one, GROUPS, item(one, methods)), one)
        assert nested.methods == (-1, -1, -1, -1)


@pytest.mark.parametrize("encoding", EVERY, ids=NAMES_OF)
def test_frames_that_repeat_each_other_become_the_same(encoding: Encoding) -> None:
    """A date, a UID and a nested sequence without a change are walked once, and done again for every frame."""
    nested = sequence(
        encoding, 0x00209116, item(encoding, element(encoding, 0x00200037, "DS", b"1\\0\\0\\0\\1\\0 "))
    )
    dates = element(encoding, 0x00189074, "DT", b"20200102") + element(
        encoding, 0x00189151, "DT", b"20200102"
    )
    named = sequence(encoding, IMAGES, item(encoding, element(encoding, 0x00081155, "UI", b"1.2.3.4 ")))
    frame = named + sequence(encoding, 0x00209111, item(encoding, dates)) + nested
    once = outcome(sequence(encoding, GROUPS, item(encoding, frame)), encoding)
    head = len(sequence(encoding, GROUPS)) + 8
    assert once[head:] != frame
    assert nested in once
    thrice = outcome(sequence(encoding, GROUPS, *[item(encoding, frame)] * 3), encoding)
    assert thrice == sequence(encoding, GROUPS, *[item(encoding, once[head:])] * 3)


@pytest.mark.parametrize("encoding", EVERY, ids=NAMES_OF)
def test_a_sequence_that_went_with_another_is_walked_anew_where_it_stays(encoding: Encoding) -> None:
    inner = sequence(
        encoding, 0x00209116, item(encoding, element(encoding, 0x00187006, "LT", b"CHEST ZQWORD"))
    )
    gone = sequence(encoding, 0x00101002, item(encoding, inner))
    kept = sequence(encoding, GROUPS, item(encoding, inner))
    made = walk(gone + kept, encoding)
    assert spliced(gone + kept, 0, len(gone + kept), made.edits) == outcome(kept, encoding)
    assert b"ZQWORD" not in outcome(kept, encoding)
    assert b"CHEST" in b"".join(made.texts)
    assert outcome(kept + gone + kept, encoding) == outcome(kept, encoding) * 2
