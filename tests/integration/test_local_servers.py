"""The launcher of `deploy/local`: its servers started, hurt, found again and stopped, with processes of their own."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from deploy.local import servers as launcher
from deploy.local.kafka import Kafka
from deploy.local.place import HOST, TEMPLATES, answers, existing, new
from deploy.local.servers import NotStartedError
from runtime.errors import OutageError
from runtime.kafka import KafkaLog
from runtime.objects import S3Objects
from runtime.settings import S3Settings
from tests.contract.log_conformance import numbered
from tests.support.servers import SharedServers

ROOT = Path(__file__).parents[2]
PATIENCE_S = 300.0
"""seconds until a server that must end has ended."""


def until(condition, what):
    give_up = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < give_up, f"never: {what}"
        time.sleep(0.05)


@pytest.fixture
def own(tmp_path):
    """Servers of one test."""
    shared = SharedServers(new(tmp_path / "servers"))
    yield shared
    shared.running.stop()


def test_a_killed_kafka_comes_back_with_every_record_that_was_confirmed(own, monkeypatch):
    kafka = own.require("kafka").kafka
    log = KafkaLog(kafka)
    log.create_topics({"t": 1})
    log.producer("p").send(numbered("t", 100))
    member = log.consumer("g", ["t"], "m")
    until(lambda: len(member.poll(100, 0.1)) > 0, "records")
    member.commit({("t", 0): 100})
    assert (log.end_offsets("t"), log.committed("g", [("t", 0)])) == ({0: 100}, {("t", 0): 100})

    own.running.kill("kafka")
    with monkeypatch.context() as impatience:
        impatience.setattr("runtime.kafka.ANSWER_S", 1.0)
        with pytest.raises(OutageError):
            log.end_offsets("t")
    own.require("kafka")

    def counts_again():
        try:
            return (log.end_offsets("t"), log.committed("g", [("t", 0)])) == ({0: 100}, {("t", 0): 100})
        except OutageError:
            return False

    until(counts_again, "offsets by a client that saw the broker die")
    member.close()

    again = KafkaLog(kafka)
    assert [int(record.value or b"") for record in again.read("t", 0, 0, 1000)] == list(range(100))
    again.producer("p").send(numbered("t", 1))
    assert again.end_offsets("t") == {0: 101}
    again.close()


def test_questions_wait_for_a_leader_that_comes_and_goes(own, tmp_path, monkeypatch):
    # Put aside before each heartbeat, taken back with it.
    sessions = "broker.session.timeout.ms=2000\nbroker.heartbeat.interval.ms=2500\n"
    templates = Path(shutil.copytree(TEMPLATES, tmp_path / "templates"))
    with (templates / "kafka.properties").open("a") as properties:
        properties.write(sessions)
    code = (
        f"from deploy.local import place; place.TEMPLATES = place.Path({str(templates)!r})\n"
        "import sys; from deploy.local.__main__ import main; sys.exit(main(sys.argv[1:]))"
    )
    command = launcher.command_of
    monkeypatch.setattr(
        launcher, "command_of", lambda place, name: [sys.executable, "-c", code, *command(place, name)[3:]]
    )
    kafka = own.require("kafka").kafka
    log = KafkaLog(kafka)
    log.create_topics({"t": 1})
    monkeypatch.setattr("runtime.kafka.CONFIRM_MS", 5_000)
    producer = log.producer("p")

    def has_no_leader():
        observer = AdminClient(
            {"bootstrap.servers": kafka.bootstrap}
        )  # a new one: an old one may know no broker
        try:
            return observer.list_topics("t", timeout=10).topics["t"].partitions[0].leader < 0
        except KafkaException:
            return False

    def is_written():
        try:
            producer.send(numbered("t", 1))
        except OutageError:  # nobody led for so long, or its client knew no broker
            return False
        return True

    until(has_no_leader, "a topic without a leader")
    until(is_written, "a first record of a producer")
    ends = log.end_offsets("t")

    for client in (log, KafkaLog(kafka)):
        for question, answer in (
            (lambda client: client.topics(), {"t": 1}),
            (lambda client: client.end_offsets("t"), ends),
            (lambda client: len(client.read("t", 0, 0, 10)), ends[0]),
            (lambda client: client.committed("g", [("t", 0)]), {("t", 0): 0}),
        ):
            until(has_no_leader, "a topic without a leader")
            assert question(client) == answer
        client.close()


def test_a_stopped_object_store_comes_back_with_its_objects_and_keys(own):
    settings: S3Settings = own.require("objects").s3
    objects = S3Objects(settings)
    objects.create_buckets(["bucket"])
    objects.put("bucket", "key", b"value")

    own.running.stop()
    assert not answers(own.place.ports.objects)
    again = own.require("objects").s3

    assert again == settings
    assert S3Objects(again).get("bucket", "key") == b"value"


def test_a_taken_port_is_named(own):
    own.require("objects")
    own.running.stop()

    with socket.create_server((HOST, own.place.ports.objects)), pytest.raises(NotStartedError) as refused:
        own.require("objects")

    assert f"port {own.place.ports.objects}, which another process has taken" in str(refused.value)


def test_a_server_that_cannot_start_says_why(own):
    log = own.place.log("kafka")
    own.place.data("kafka").mkdir(parents=True)
    (own.place.data("kafka") / "meta.properties").write_text("version=1\ncluster.id=x\nnode.id=2\n")

    with pytest.raises(NotStartedError) as refused:
        own.require("kafka")

    assert "kafka ended while it started" in str(refused.value)
    assert log.read_text().splitlines()[-1] in str(refused.value)


def test_a_cluster_whose_id_begins_with_a_hyphen_is_formatted(own, monkeypatch):
    monkeypatch.setattr("deploy.local.kafka.uuid.uuid4", lambda: uuid.UUID(bytes=b"\xf8" + bytes(15)))

    Kafka(own.place).command()

    assert "cluster.id=-AAAA" in (own.place.data("kafka") / "meta.properties").read_text()


def test_servers_end_with_the_process_that_started_them(own, tmp_path):
    own.require("objects")
    own.running.stop()
    program = (
        "import pathlib, sys, time\n"
        "from deploy.local.place import existing\n"
        "from deploy.local.servers import Servers\n"
        "running = Servers(existing(pathlib.Path(sys.argv[1])))\n"
        "running.start(['objects'])\n"
        "print(running.processes['objects'].pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", program, str(own.place.folder)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout is not None
    int(parent.stdout.readline())
    assert answers(own.place.ports.objects)

    parent.kill()
    parent.wait()
    parent.stdout.close()

    until(lambda: not answers(own.place.ports.objects), "the orphan's end")


def test_the_command_leaves_servers_running_finds_them_again_and_stops_them(tmp_path):
    def command(action):
        command = [sys.executable, "-m", "deploy.local", action, "--folder", str(tmp_path)]
        command += ["objects"] if action == "up" else []
        return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout

    first, again = command("up"), command("up")

    place = existing(tmp_path)
    assert "objects    well" in first
    assert f" {place.ports.objects} " in first
    assert first.split(" pid ")[1].split()[0] == again.split(" pid ")[1].split()[0]
    assert command("status").startswith("objects    well")
    command("down")
    assert not answers(place.ports.objects)
    assert command("status") == ""


def test_a_process_that_only_has_the_number_of_a_server_is_left_alone(own):
    stranger = subprocess.Popen(["sleep", "600"])
    (own.place.folder / "pids.json").write_text(f'{{"objects": {stranger.pid}}}')

    assert launcher.down(own.place) == []
    assert stranger.poll() is None
    os.kill(stranger.pid, signal.SIGKILL)
    stranger.wait()
