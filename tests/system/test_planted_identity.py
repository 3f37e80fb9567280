"""Names, ids, UIDs and dates of everything that comes in are nowhere but in the vault and the encrypted tier."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import httpx
import numpy as np
import pydicom
import pytest

from cli import launch, stow_client
from cli.components import consumers, reads
from cli.pages import days_back
from runtime import buckets
from runtime.audit import RAW_READ
from runtime.buckets import RAW
from runtime.connections import connect
from runtime.embedded.records import first_id
from runtime.ports import OutgoingRecord, Record
from runtime.prepare import prepare
from runtime.vault import VAULT_READ
from schemas.codec import HEADER, MAGIC, decode, to_record
from schemas.events import AuditEvent, InstanceDeidentified, InstanceReceived, ReceivedInstance
from schemas.rows import AlertRow, AuditEntryRow, DeadlineRow, QuarantinedObjectRow
from schemas.topics import catalogue, dead_letter_topic
from stream_processors import catalogue as step_catalogue
from stream_processors.deidentification.text_detection import TextDetector
from tests.support import hostile, planted
from tests.support.cluster import PROFILES, engines, is_ours
from tests.support.hostile import Pager
from tests.support.leaks import Leak, Searcher, described, files
from tests.support.offsets import committed
from tests.support.planted import Planted, PlantedStudy
from tests.support.processes import WAIT_S, wait_until
from tests.support.readers import QUIET_LOOKS
from tests.support.servers import SharedServers
from tests.support.system import System, system

pytestmark = pytest.mark.timeout(3600)
"""seconds: a machine that does ten other things takes ten times as long."""
SITES = ("north", "south")
PORTAL_SITE, FOLDER_SITE = SITES
CLEANED_SITE = FOLDER_SITE
"""Where burned-in text is blanked; at the other one such pixels are withheld."""
RUN_STEP = (
    "import sys, stream_processors.steps as steps; steps.__path__.append(sys.argv.pop(1)); "
    "from stream_processors.__main__ import main; main(sys.argv[1:])"
)
"""Runs a step whose file lies in a folder of its own."""

RAISING = """
from runtime.errors import DeadLetterError
from stream_processors.step import Step


async def run(event, context):
    envelope = event.envelope
    for instance in event.instances:
        raw = await context.io(
            context.raw.read, instance.bucket, instance.object_key,
            site=envelope.site, study=envelope.study, purpose="NAME",
        )
        name = raw[:2000].decode("latin-1")
        RAISES
    for output in ():
        yield output


STEP = Step(summary="Raises.", reads=("instance.received.v1",), emits=("audit.v1",), run=run)
"""
RAISERS = {
    "raises_message": "raise ValueError(f'cannot handle {name}')",
    "raises_local": "raise KeyError",
    "raises_chain": "raise RuntimeError(name) from OSError(2, name, name)",
    "raises_reason": "raise DeadLetterError(name)",
    "raises_word": "raise DeadLetterError('WORD')",
}
"""Steps that go wrong with identity in hand: in the message, a local variable, a cause, a reason."""


@dataclass
class Seen:
    """What the run left and answered."""

    system: System
    planted: Planted
    searcher: Searcher
    studies: list[PlantedStudy]
    evidence: list[tuple[str, bytes]] = field(default_factory=list)
    poisoned: set[tuple[str, int, int]] = field(default_factory=set)
    """Topic, partition and offset of records that this test wrote with tokens in them."""
    named_pages: int = 0
    """Requests that were answered with names."""
    readers_page: str = ""

    def keep(self, place: str, data: bytes | str) -> None:
        """Note something to be searched."""
        self.evidence.append((place, data.encode() if isinstance(data, str) else data))

    def keep_answer(self, place: str, answer: httpx.Response) -> None:
        """Note an answer with its headers."""
        self.keep(place, f"{answer.headers}\n".encode() + answer.content)

    def records(self, topic: str) -> list[Record]:
        """What the product wrote to a topic: not what this test wrote there."""
        found = self.system.records(topic)
        return [each for each in found if (topic, each.partition, each.offset) not in self.poisoned]

    def key(self, study: PlantedStudy) -> str:
        """Pseudonym of a study at the portal's site (the issuer is the site's, not the file's)."""
        return self.system.study_key(PORTAL_SITE, study.study_uid)


LEAKING = """
import gzip
import sys
import traceback
from dataclasses import replace

from runtime import logs
from runtime.buckets import CLEAN
from schemas.rows import StudyRow
from stream_processors.step import Step
from stream_processors.steps.score_risk import run as score

WORD, UID, BORN = "TOKEN_WORD", "TOKEN_UID", "TOKEN_BORN"


async def run(result, context):
    async for scored in score(result, context):
        envelope = scored.envelope
        yield replace(scored, reason=f"born {BORN}", rule=WORD)
        yield replace(scored, envelope=replace(envelope, study=UID, event_id="2"))
        yield replace(scored, envelope=replace(envelope, producer=WORD.lower(), event_id="3"))
    logs.logger("leaking").info("scored", reason=WORD)
    print(WORD.encode().hex())
    try:
        raise ValueError(BORN)
    except ValueError:
        traceback.print_exc(file=sys.stdout)
    sys.stdout.flush()
    context._bench.connections.metrics.count("radstream_inputs_total", site=WORD)
    await context.io(context.objects.put, CLEAN, f"north/{WORD}.dcm", b"nothing")
    await context.io(context.objects.put, CLEAN, "north/packed", gzip.compress(f"{WORD}^X".encode("utf-16-le")))
    await context.io(context.tables.write, StudyRow(site="north", study="leaking", reason=UID), at=1)


STEP = Step(summary="Leaks.", reads=("findings.v1",), emits=("risk.scored.v1",), run=run)
"""
"""A copy of score_risk that puts tokens into everything it touches."""
LEAKING_ERROR = """
from stream_processors.step import Step


async def run(result, context):
    raise type("TOKEN_WORD", (ValueError,), {})
    yield


STEP = Step(summary="Fails.", reads=("findings.v1",), emits=(), run=run)
"""
"""A step whose error is named after somebody: the class's name is what a dead letter says of it."""
CARRIERS = {
    "an event": ": decoded",
    "an event's bytes": ": value",
    "a record's key": ": key",
    "a record's header": ": headers",
    "a dead letter": "topic leaking_error.dead-letter.v1",
    "the log's file": "data/log/log.db",
    "a log and standard output": "data/logs/leaking.log",
    "an object's key": "key in clean",
    "a compressed object": "inflated at 0",
    "a table's row": "tables.db",
    "a metric's label": "/metrics of leaking",
}
"""By what a step can leak through: a part of the place that the searcher names."""
ON_A_CLUSTER = {"the log's file": "topic risk.scored.v1", "a table's row": "table studies"}
"""Where that is another place: what the log holds is what a consumer gets, what a table holds is what a query gives."""


# --- what happens in the run


@contextmanager
def extra_step(running: System, folder: Path, name: str, source: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a step from outside the project as a process of its own, its log beside the others."""
    (folder / f"{name}.py").write_text(source)
    prepare(running.connections, (*consumers(), name))
    environment = os.environ | {"RADSTREAM_SETTINGS": str(running.run.settings_file)}
    with (running.run.data / "logs" / f"{name}.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", RUN_STEP, str(folder), name], env=environment, stdout=log, stderr=log
        )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(WAIT_S)


def send(seen: Seen) -> None:
    """Send every study and every failing file by STOW."""
    token = seen.system.token(PORTAL_SITE, user="modality")
    with httpx.Client(trust_env=False, timeout=WAIT_S) as client:
        for study in seen.studies:
            answer = stow_client.store(client, seen.system.stow, token, study.files)
            assert answer.refused == 0, study.name
        for reason, data in planted.failing(seen.planted).items():
            answer = stow_client.store(client, seen.system.stow, token, [data])
            assert bool(answer.refused) != (reason in {"unknown character set", "long header"}), reason
    word = seen.planted.word
    ct, mr = seen.studies[0], seen.studies[3]
    statuses = hostile.abuse_gateway(seen.system.stow, token, word, ct.files[0], mr.study_uid)
    assert statuses == [400, 404, 401, 401, 415, 400, 400, 409, 409]
    hostile.leave_in_the_middle(seen.system.stow, token, seen.studies[1].files[0][:200_000])


def take_in_folder(seen: Seen, folder: Path) -> None:
    """Run the folder gateway on files whose names are names."""
    word = seen.planted.word
    patient = folder / f"{word('folder family')}^{word('folder given')} {planted.BORN}"
    patient.mkdir(parents=True)
    for number, study in enumerate(seen.studies[:3]):
        (patient / f"{word(f'file {number}')}.dcm").write_bytes(study.files[0])
    (patient / f"{word('broken file')}.dcm").write_bytes(seen.studies[0].files[1][:900])
    (patient / f"{word('dangling')}.dcm").symlink_to(folder / word("nowhere"))
    environment = os.environ | {"RADSTREAM_SETTINGS": str(seen.system.run.settings_file)}
    for arguments in (["--dry-run"], [], ["--json"]):
        done = subprocess.run(
            [sys.executable, "-m", "producers", "folder", str(folder), "--site", FOLDER_SITE, *arguments],
            env=environment,
            capture_output=True,
            check=True,
        )
        seen.keep(f"folder gateway {arguments}", done.stdout + done.stderr)


def poison(seen: Seen) -> None:
    """Write records that no consumer can read, with tokens in value, key and headers, to every topic."""
    word, running = seen.planted.word, seen.system
    value, key = word("poison value").encode(), word("poison key").encode()
    schema = next(iter(running.records("instance.received.v1"))).value or b""
    _, schema_id = HEADER.unpack_from(schema)
    headers = (
        ("ce_subject", word("poison header").encode()),
        (word("poison header name"), planted.BORN.encode()),
    )
    producer = running.connections.log.producer("test")
    for topic in catalogue():
        values = (value * 3, None, HEADER.pack(MAGIC, schema_id) + value, HEADER.pack(MAGIC, 10**6) + value)
        producer.send([OutgoingRecord(topic, key, each, headers) for each in values])
    running.connections.sealed.put(RAW, f"{PORTAL_SITE}/poison/object", value * 500)
    running.connections.publisher.publish([("instance.received.v1", _event_without_an_image(running))])
    for topic in catalogue():
        for record in running.records(topic):
            if record.key == key:
                seen.poisoned.add((topic, record.partition, record.offset))


def _event_without_an_image(running: System) -> InstanceReceived:
    """A whole event whose object holds no DICOM file."""
    study, names = "st-" + "0" * 32, running.connections.pseudonyms(PORTAL_SITE)
    envelope = running.connections.publisher.envelope(
        PORTAL_SITE, study, "a poison event", correlation_id="poison"
    )
    instance = ReceivedInstance(
        series=names.series("1", "2"), instance=names.instance("3"), bucket=RAW,
        object_key=f"{PORTAL_SITE}/poison/object", size=1, raw_digest=names.raw_digest(b"x"),
        sop_class_uid="", transfer_syntax_uid="",
    )  # fmt: skip
    return InstanceReceived(
        envelope=envelope, gateway="stow", received_at=running.connections.clock.now(),
        ordered_priority="routine", instances=(instance,),
    )  # fmt: skip


def at_rest(seen: Seen) -> bool:
    """Whether nothing is left to do for anybody."""
    running = seen.system
    read = {name: reads(name) for name in consumers()}
    read |= dict.fromkeys(RAISERS, ("instance.received.v1",))
    waiting = (
        running.rows(DeadlineRow, consumer=name, shard=shard)
        for name in step_catalogue.names()
        for shard in range(shards(name))
    )
    return not any(running.uncommitted(name, topics) for name, topics in read.items()) and not any(waiting)


def has_read(running: System, topic: str, name: str) -> bool:
    """Whether a consumer is done with the records that are there; those taken away count for nobody."""
    done = committed(running.connections.log, name, topic)
    return all(record.offset < done[record.partition] for record in running.records(topic))


def shards(name: str) -> int:
    """Shards of a step's deadlines."""
    return catalogue()[reads(name)[0]].partitions


# --- what people see


def read_as_radiologist(seen: Seen) -> None:
    """Open every page with names, counting them."""
    bearer = {"Authorization": f"Bearer {seen.system.token(PORTAL_SITE, 'radiologist', 'reader')}"}
    xray = seen.key(seen.studies[1])
    with httpx.Client(base_url=seen.system.portal, trust_env=False, timeout=WAIT_S, headers=bearer) as client:
        for path in ("/api/worklist", f"/api/studies/{xray}", "/api/alerts", "/api/worklist?view=DX"):
            answer = client.get(path)
            assert seen.planted.word("xray family") in answer.text, path
            seen.named_pages += 1
        seen.readers_page = client.get("/api/worklist").text
        seen.named_pages += 1
        (alert,) = seen.system.rows(AlertRow, site=PORTAL_SITE, study=xray)
        image = client.get(f"/api/studies/{xray}").json()["series"][0]["images"][0]["instance"]
        seen.named_pages += 1
        for path in (f"images/{image}", f"images/{image}/overlay"):
            seen.keep_answer(path, client.get(f"/api/studies/{xray}/{path}"))
        assert list(
            hostile.abuse_portal(
                seen.system.portal, bearer["Authorization"][7:], seen.planted.word, xray, alert.alert_id
            )
        )
    with httpx.Client(base_url=seen.system.portal, trust_env=False, timeout=WAIT_S, headers=bearer) as client:
        acknowledged = {"study": xray, "version_seen": alert.version}
        assert client.post(f"/api/alerts/{alert.alert_id}/acknowledge", json=acknowledged).is_success


def read_as_operator(seen: Seen) -> None:
    """Open everything as somebody who treats nobody, in a browser's way and in a program's."""
    token = seen.system.token(PORTAL_SITE, "operator", "technician")
    xray = seen.key(seen.studies[1])
    paths = ["/operations", "/api/operations", f"/api/studies/{xray}/trace", "/api/openapi.json", "/", "/login",
             "/alerts", f"/studies/{xray}", "/api/worklist", f"/api/studies/{xray}", "/api/alerts",
             f"/api/studies/{xray}/images/x", f"/api/studies/{xray}/images/x/overlay", "/static/x"]  # fmt: skip
    with httpx.Client(base_url=seen.system.portal, trust_env=False, timeout=WAIT_S) as client:
        assert client.post("/login", data={"token": token}).status_code == 303
        for path in paths:
            seen.keep_answer(f"portal {path} to an operator's browser", client.get(path))
    with httpx.Client(
        base_url=seen.system.portal,
        trust_env=False,
        timeout=WAIT_S,
        headers={"Authorization": f"Bearer {token}"},
    ) as client:
        for path in paths:
            seen.keep_answer(f"portal {path} to an operator's program", client.get(path))


def look_at_processes(seen: Seen) -> None:
    """Command line, environment and HTTP answers of every process; what the command line says of them."""
    running = seen.system
    names = [*running.components(), *RAISERS]
    for name in names:
        address = launch.address_of(running.run, name)
        if address is None:
            continue
        hostile.nonsense(address, seen.planted.word)
        for path in ("/metrics", "/livez", "/readyz"):
            seen.keep_answer(f"{path} of {name}", httpx.get(address + path, trust_env=False, timeout=WAIT_S))
    for name in ("stow", "portal"):
        hostile.nonsense(getattr(running, name), seen.planted.word)
    if running.settings.triton.metrics:
        seen.keep_answer(
            "metrics of triton",
            httpx.get(f"http://{running.settings.triton.metrics}/metrics", timeout=WAIT_S),
        )
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        command = _bytes_of(file)
        if str(running.run.path).encode() in command + _bytes_of(file.with_name("environ")):
            seen.keep(f"command line of {file.parent.name}", command)
            seen.keep(f"environment of {file.parent.name}", _bytes_of(file.with_name("environ")))
    environment = os.environ | {"RADSTREAM_HOME": str(running.run.path.parent)}
    xray = seen.key(seen.studies[1])
    for arguments in (["status", "--json"], ["trace", xray], ["reconcile", "--json"], ["reconcile"]):
        done = subprocess.run(
            [sys.executable, "-m", "cli", *arguments], env=environment, capture_output=True, check=False
        )
        seen.keep(f"radstream {arguments[0]}", done.stdout + done.stderr)


def _bytes_of(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:
        return b""


def read_topics(seen: Seen) -> None:
    """Every record as a consumer gets it: key, headers, raw and decoded value; not those that this test wrote."""
    running = seen.system
    for topic in filter(is_ours, running.connections.log.topics()):
        for record in seen.records(topic):
            where = f"topic {topic}, partition {record.partition}, offset {record.offset}"
            event = to_record(decode(record.value, running.connections.registry))
            seen.keep(f"{where}: key", record.key)
            seen.keep(f"{where}: value", record.value or b"")
            seen.keep(f"{where}: decoded", json.dumps(event, ensure_ascii=False))
            seen.keep(
                f"{where}: headers", str([(name, value.decode("latin-1")) for name, value in record.headers])
            )


def read_tables(seen: Seen) -> None:
    """Every row of every table of a cluster, by query; the embedded tables are a file of the run."""
    if seen.system.engines is None:
        return
    for table in seen.system.cluster.tables():
        for row in seen.system.cluster.query(table):
            cells = (value if isinstance(value, bytes) else str(value).encode() for value in row.values())
            seen.keep(f"table {table}", b"\x1f".join(cells))


def left_on_disk(seen: Seen) -> Iterator[tuple[str, bytes]]:
    """Every file of the run, and of a cluster's object store."""
    yield from files(seen.system.run.path)
    if seen.system.engines is not None:
        for bucket in seen.system.engines.buckets():
            yield from files(bucket)


def read_keys(seen: Seen) -> None:
    """Key of every object: a file's path need not spell it."""
    for bucket in buckets.ALL:
        for key in sorted(seen.system.keys(bucket)):
            seen.keep(f"key in {bucket}", key)


def take_poison_away(seen: Seen) -> None:
    """Remove the records that this test wrote, so that the file holds what the product wrote, byte for byte."""
    if seen.system.engines is not None:  # Kafka takes no record out of the middle
        return
    log = seen.system.run.data / "log" / "log.db"
    numbers = seen.system.connections
    numbers.close()
    with closing(sqlite3.connect(log, isolation_level=None)) as database:
        database.execute("PRAGMA secure_delete=ON")
        for topic, number, offset in seen.poisoned:
            (partition,) = database.execute(
                "SELECT id FROM partitions WHERE topic = ? AND number = ?", (topic, number)
            ).fetchone()
            gone = database.execute("DELETE FROM records WHERE id = ?", (first_id(partition) + offset,))
            assert gone.rowcount == 1
        database.execute("VACUUM")
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")


@pytest.fixture(scope="module", params=PROFILES)
def seen(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, servers: SharedServers
) -> Iterator[Seen]:
    """Send, break, read, stop; what was seen is searched by the tests."""
    folder, tokens = tmp_path_factory.mktemp("planted"), Planted()
    pager = Pager(failures=2)
    real = engines(request.param, servers)
    with system(
        folder,
        sites=SITES,
        cleaned=(CLEANED_SITE,),
        receiver=False,
        log_level="DEBUG",
        engines=real,
        started=False,
    ) as running:
        sites = [site.model_copy(update={"webhook_url": pager.url}) for site in running.settings.sites]
        running.settings = running.settings.model_copy(update={"sites": sites})
        running.settings.write(running.run.settings_file)
        running.start()
        found = Seen(running, tokens, Searcher(tokens.tokens()), planted.studies(tokens))
        with use(found, folder, pager):
            running.stop()
        take_poison_away(found)
        pager.close()
        found.searcher = Searcher(tokens.tokens())
        yield found


@contextmanager
def use(found: Seen, folder: Path, pager: Pager) -> Iterator[None]:
    """Everything that happens while the system runs; stopped inside, so that steps from outside end last."""
    steps, running = folder / "steps", found.system
    steps.mkdir()
    with ExitStack() as outside:
        for name, raises in RAISERS.items():
            source = RAISING.replace("RAISES", raises.replace("WORD", found.planted.word("reason")))
            outside.enter_context(extra_step(running, steps, name, source.replace("NAME", name)))
        send(found)
        take_in_folder(found, folder / "incoming")
        poison(found)
        wait_until(
            lambda: pager.accepted > 0 and all(at_rest(found) for _ in range(QUIET_LOOKS)),
            "everything came to rest",
        )
        read_as_radiologist(found)
        read_as_operator(found)
        look_at_processes(found)
        wait_until(lambda: at_rest(found), "what readers did came to rest")
        read_topics(found)
        read_keys(found)
        read_tables(found)
        for number, request in enumerate(pager.received):
            found.keep(f"webhook request {number}", request)
        yield


def searched(seen: Seen, evidence: Iterable[tuple[str, bytes]]) -> list[Leak]:
    """Search everything, equal content once."""
    known: set[bytes] = set()
    leaks = []
    for place, data in evidence:
        digest = hashlib.sha256(data).digest()
        if digest not in known:
            known.add(digest)
            leaks += seen.searcher.search(place, data)
    return leaks


def test_no_token_is_outside_the_vault_and_the_encrypted_tier(seen):
    leaks = searched(seen, [*seen.evidence, *left_on_disk(seen)])

    assert described(leaks) == []


def test_the_tokens_did_come_in_and_a_reader_who_treats_sees_them(seen):
    for study in seen.studies:
        if study.name in {"ct", "xray", "mr"}:
            assert seen.planted.word(f"{study.name} family") in seen.readers_page

    assert any(leak.place == "the portal's answer to a reader" for leak in seen.searcher.search(
        "the portal's answer to a reader", seen.readers_page.encode()))  # fmt: skip


def of_this_run(running, row_type):
    """All sites' rows of a table that is kept by day: a run may cross midnight."""
    return [
        row
        for site in SITES
        for day in days_back(running.clock.now(), 2)
        for row in running.tables.select(row_type, site=site, day=day, limit=1000)
    ]


def test_everything_that_could_have_leaked_did_happen(seen):
    running = connect(seen.system.settings, "cli")
    reasons = Counter(row.reason for row in of_this_run(running, QuarantinedObjectRow))
    running.close()
    letters = Counter(
        place.split(",")[0].removeprefix("topic ") for place, _ in seen.evidence if "dead-letter" in place
    )

    assert reasons.keys() >= {
        "truncated", "missing-uid", "invalid-uid", "not-dicom", "archive", "media-type", "study-mismatch",
        "unsupported-content",
    }  # fmt: skip
    assert letters.keys() == {dead_letter_topic(name) for name in (*consumers(), *RAISERS)}


def test_a_name_in_the_pixels_is_blanked_where_the_site_cleans_and_withheld_where_it_does_not(seen):
    running = connect(seen.system.settings, "cli")
    seen.system.connections = running
    gone_on = [
        event
        for topic in ("instance.deidentified.v1", "instance.cleaned.v1")
        for record in seen.records(topic)
        if isinstance(event := decode(record.value, running.registry), InstanceDeidentified)
    ]
    files = {
        (event.envelope.site, instance.instance): running.objects.get(instance.bucket, instance.object_key)
        for event in gone_on
        for instance in event.instances
    }
    running.close()
    sent = pydicom.dcmread(io.BytesIO(seen.studies[2].files[0]))
    made = {
        site: [
            each
            for (at, _), data in files.items()
            if at == site and (each := pydicom.dcmread(io.BytesIO(data))).SOPClassUID == sent.SOPClassUID
        ]
        for site in SITES
    }
    (withheld,), (cleaned,) = made[PORTAL_SITE], made[CLEANED_SITE]
    letters, detector = planted.letters_in_pixels(), TextDetector()
    before, after = (np.repeat(each.pixel_array[..., None], 3, axis=2) for each in (sent, cleaned))

    assert "PixelData" not in withheld
    assert "113101" in {item.CodeValue for item in cleaned.DeidentificationMethodCodeSequence}
    assert len(np.unique(before[letters])) == len(np.unique(after[letters])) == 1
    assert before[letters].max() == 230 > after[letters].max()
    assert detector.find(before, close=True)
    assert detector.find(after, close=True) == []


@pytest.fixture(scope="module")
def leaks(seen, tmp_path_factory) -> list[Leak]:
    """What the searcher says of a step that leaks on purpose, run on what the system left."""
    running, steps = seen.system, tmp_path_factory.mktemp("leaking")
    running.connections = connect(running.settings, "cli")
    tokens = {"WORD": seen.planted.word("leaked"), "UID": seen.planted.uid("leaked"), "BORN": planted.BORN}
    known = len(seen.evidence)
    with ExitStack() as outside:
        outside.callback(running.connections.close)
        for name, source in {"leaking": LEAKING, "leaking_error": LEAKING_ERROR}.items():
            full = re.sub(r"TOKEN_(\w+)", lambda found: tokens[found[1]], source)
            outside.enter_context(extra_step(running, steps, name, full))
        read = partial(has_read, running, "findings.v1")
        wait_until(lambda: read("leaking") and read("leaking_error"), "the leaking steps read everything")
        address = launch.address_of(running.run, "leaking")
        seen.keep_answer(
            "/metrics of leaking", httpx.get(f"{address}/metrics", trust_env=False, timeout=WAIT_S)
        )
        read_topics(seen)
        read_keys(seen)
        read_tables(seen)
    evidence = [*seen.evidence[known:], *left_on_disk(seen)]
    del seen.evidence[known:]
    return searched(seen, evidence)


@pytest.mark.parametrize("carrier", CARRIERS)
def test_a_step_that_leaks_on_purpose_is_caught_through(seen, leaks, carrier):
    carriers = CARRIERS | (ON_A_CLUSTER if seen.system.engines else {})
    assert [leak for leak in leaks if carriers[carrier] in leak.place]


def test_a_leak_is_caught_in_each_form_that_the_step_gives_it(leaks):
    logged = {leak.form for leak in leaks if leak.place == "data/logs/leaking.log"}

    assert logged >= {"utf-8", "hex of utf-8", "date"}


def test_every_read_of_identity_left_an_audit_event_with_its_purpose(seen):
    running = connect(seen.system.settings, "cli")
    seen.system.connections = running
    audits = (decode(record.value, running.registry) for record in seen.records("audit.v1"))
    used = {event.envelope.event_id: event for event in audits if isinstance(event, AuditEvent)}
    received = {
        event.envelope.event_id: event
        for record in seen.records("instance.received.v1")
        if isinstance(event := decode(record.value, running.registry), InstanceReceived)
    }
    refused = Counter(row.component for row in of_this_run(running, QuarantinedObjectRow))
    rows = of_this_run(running, AuditEntryRow)
    running.close()

    assert all(event.purpose and event.actor and event.actor_role for event in used.values())
    assert {row.event_id for row in rows} == set(used)
    opened = [event for event in used.values() if event.outcome == "allowed"]
    assert Counter((event.action, event.actor, event.purpose) for event in opened) == {
        (VAULT_READ, "reader", "treatment"): seen.named_pages,
        (RAW_READ, "deidentify", "de-identification"): len(received),
        (RAW_READ, "clean_pixels", "de-identification"): 1,
        (RAW_READ, "stow", "quarantine"): refused["stow"],
        (RAW_READ, "folder", "quarantine"): refused["folder"],
        (RAW_READ, "stow", "ingest"): 1,
        **{(RAW_READ, name, name): len(received) for name in RAISERS},
    }
