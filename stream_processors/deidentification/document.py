"""`python -m stream_processors.deidentification.document`: write what each profile does to each attribute."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from stream_processors.deidentification import rules
from stream_processors.deidentification.dictionary import vr_of
from stream_processors.deidentification.pixel_process import DEADLINE
from stream_processors.deidentification.pixels_at_risk import BURNED_IN, DEVICE, SECONDARY_CAPTURE, ULTRASOUND
from stream_processors.deidentification.profile import DEFAULT, EDITION, Profile
from stream_processors.deidentification.refusal import REASONS
from stream_processors.deidentification.table import BASIC, MEANINGS, OPTION_MEANINGS, Row, load_table

PAGE: Final = Path("docs/deidentification.md")

ACTIONS: Final = {
    rules.REMOVE: "the attribute goes, with all that is in it",
    rules.EMPTY: "its value goes",
    rules.DUMMY: "a constant stands in its place; for Patient ID the pseudonym, for a document nothing",
    rules.NEW_UID: "each UID is renamed by a keyed hash; registered ones (PS3.6 Annex A) stay",
    rules.MAP_UID: "as new-uid, but UIDs of vocabularies stay",
    rules.SHIFT: "moved by the patient's number of days; a time of day in it goes",
    rules.KEEP: "kept as a code of the standard, a number, or an age with 90 years as the highest",
    rules.AGE: "an age, with 90 years as the highest",
    rules.HOLD: "kept unless it holds a word of the patient's identity",
    rules.CLEAN: "words stay that are on the list of vocabulary and are none of the patient's; all others go, and so do dates, "
    "times of day, long numbers and ages over 90",
    rules.SCRUB: "emptied unless all of it stays under clean-text",
    rules.MODEL: "as scrub, for the model of a device: several short numbers may follow each other in it",
    rules.CODE: "a code or a version: emptied when it holds a word of the patient's identity, or what is not ASCII",
    rules.NUMBER: "emptied unless it is a number, and none of the patient's",
    rules.CLEAN_ITEMS: "its items are read on, by the same rules",
    rules.PASS: "stays",
}

UNLISTED: Final = (
    ("LO, SH, CS", "LO"), ("ST, LT, UT, UC", "LT"), ("PN, AE, TM, UR", "PN"), ("DA, DT", "DA"), ("UI", "UI"),
    ("DS, IS", "DS"), ("AS", "AS"), ("SQ", "SQ"), ("binary numbers, bytes", "US"), ("UN", "UN"),
)  # fmt: skip
_NO_CODE: Final = 0x00187006
"""Any attribute that is on no list of codes."""

HEAD: Final = f"""# What de-identification does to each attribute

Made by `python -m stream_processors.deidentification.document` from the code and from the table of PS3.15 Annex E,
edition {EDITION}; a test holds this page to them. How and why is in [decision 0013](decisions/0013-header-splicing.md).

    RADSTREAM_PSEUDONYM_KEY=... python -m stream_processors.deidentification IN OUT --report report.json

The default for AI is {", ".join(DEFAULT.codes)}. `--options` names other columns; Basic is always on. The output is
pseudonymised data, not Safe Harbor: shifted dates and patient characteristics are in it.
"""

_NAMED = {"unsupported-content", *(reason for reason in REASONS if reason.startswith("pixels-"))}
OTHERS: Final = ", ".join(f"`{reason}`" for reason in sorted(REASONS - _NAMED))
QUARANTINED: Final = f"""## What is not handed on

| reason | what it is |
|---|---|
| `{BURNED_IN}` | Burned In Annotation says YES. What says so is believed |
| `{ULTRASOUND}` | ultrasound nearly always has the patient's name in its pixels; NO in that attribute clears nothing |
| `{SECONDARY_CAPTURE}` | screen captures, scans, and whatever names a conversion type |
| `{DEVICE}` | a device that is known to write identity into its pixels (`regions.csv`) |
| `unsupported-content` | a DICOMDIR, which describes other files; audio, raw data and pixels in items, which nobody reads |
| all others | {OTHERS}: the file is broken, or the output did not verify |

From the command line these files are encrypted and set aside whole. Links are not followed and pipes not read; they, and
folders that cannot be listed, fail in the report and in the exit status. Paths stay as they are, in OUT, in the quarantine
and in the report: a file name that identifies somebody has to be changed before. Who has the key opens what is set aside
with `unseal(bytes, key, path)` of `stream_processors.deidentification.sealed_file`; `path` is the one in the report.

In the stream, files with pixels at risk leave a clean header without pixels, and the raw object stays in the encrypted tier.

In the stream the options are a site's, in the settings; a site that names none has the default's:

```toml
[[sites]]
name = "north"
deidentification = ["113101", "113105", "113107", "113108"]
```

With 113101 (here, or in `--options`) pixels at risk are cleaned instead, and those of computed radiographs (CR) whose header
does not say that nothing is burned in, which nobody looks at without the option. That is done in a process that is killed after
{DEADLINE:.0f} seconds: the device's boxes, all that lies outside the regions that an ultrasound declares, and every
line of text that is found are blanked in every frame, and no text may be found in the result. What was lossless stays
lossless, and RLE, JPEG-LS and JPEG 2000 stay what they are; everything else, lossy pixels too, ends as Explicit VR
Little Endian, so that nothing outside the boxes changes. A box is filled with what is darkest as displayed. Icons always
go. What cannot be cleaned is quarantined: `pixels-unreadable` (films, floating point, damage), `pixels-too-large`,
`pixels-deadline`, `pixels-text-remains`. The code 113101 is written only into files whose pixels were cleaned.

Defacing of head CT and MR has the code 113102 (Clean Recognizable Visual Features). It is not offered yet: a command or a
site's settings that name it are refused with a line that says so, and start nothing.

The report says of each file how many boxes were blanked, by what found them, in how many frames, and how many icons
went; the events and the portal say how many boxes. None says what stood there.
How well text is found is in [decision 0018](decisions/0018-pixels.md).
"""


def page() -> str:
    """Write the whole page."""
    actions = "\n".join(f"| {name} | {meaning} |" for name, meaning in ACTIONS.items())
    options = "\n".join(f"| {code} | {meaning} |" for code, meaning in MEANINGS.items())
    unlisted = "\n".join(f"| {name} | {_unlisted(vr)} |" for name, vr in UNLISTED)
    rows = "\n".join(_line(row) for row in load_table()[1] if not row.is_pattern)
    return f"""{HEAD}
| code | option |
|---|---|
{options}

| action | meaning |
|---|---|
{actions}

## What the table does not list

Private attributes go, but for the Safe Private list under 113111. Overlay (60xx) and curve (50xx) groups go whole,
labels and descriptions included; so do group lengths, unknown attributes, Document Title, keys as bytes (Record Key), the
preamble, file meta but for what names the file, and whatever trails the data set. What earlier
steps wrote into (0012,0063) and (0012,0064) is cleaned
and stays before what we did, which stands last: the standard has both added to (PS3.15 §E.1.1); an earlier promise of a cleaning
that was not done here does not stay. Text under an attribute that the dictionary knows as a number goes, and so does what it
knows as characters and is coded as bytes. Originals that somebody else encrypted (0400,0500) go. All else goes by its VR:

| VR | with the default profile |
|---|---|
{unlisted}

{QUARANTINED}
## Each row of the table

What Basic does, what the default does, and which option alone does something else.

| tag | attribute | VR | Basic | default | other options |
|---|---|---|---|---|---|
{rows}
"""


def _unlisted(vr: str) -> str:
    return rules.REMOVE if vr == "UN" else rules.unlisted(DEFAULT, _NO_CODE, vr)


def _line(row: Row) -> str:
    tag = int(row.tag, 16)
    vr = vr_of(tag)
    basic = rules.rule(_BASIC, tag, vr)
    others = [
        f"{code}: {action}"
        for code, profile in _SINGLE.items()
        if (action := rules.rule(profile, tag, vr)) != basic
    ]
    default = rules.rule(DEFAULT, tag, vr)
    return (
        f"| {row.tag[:4]},{row.tag[4:]} | {row.keyword} | {vr} | {basic} | {default} | {'; '.join(others)} |"
    )


_BASIC: Final = Profile(frozenset())
_SINGLE: Final = {code: Profile(frozenset({code})) for code in OPTION_MEANINGS if code != BASIC}


def main() -> int:
    """Write the page into the repository."""
    PAGE.write_text(page(), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
