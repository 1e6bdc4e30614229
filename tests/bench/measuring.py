"""Runs one client against one server, and holds what it says of itself against what arrived."""

import contextlib
import json
import os
import pathlib
import subprocess
import time

HERE = pathlib.Path(__file__).resolve().parent
TARGET = HERE.parent.parent / "target" / "bench"
BIN = TARGET / "bin"


class Failed(Exception):
    """A run that measured nothing, and why."""


class Sink:
    """The endless sink: it acknowledges at once and keeps nothing."""

    def __init__(self, port: int, partitions: int = 6):
        self.process = subprocess.Popen(
            [BIN / "sink", "--port", str(port), "--partitions", str(partitions)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.bootstrap = self.process.stdout.readline().strip()
        if not self.bootstrap:
            raise Failed("the sink did not start")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait()

    @contextlib.contextmanager
    def topic(self):
        yield "bench"

    def totals(self, _topic: str) -> dict:
        """Records and bytes so far."""
        print(file=self.process.stdin, flush=True)
        return json.loads(self.process.stdout.readline())


class Kafka:
    """One real broker, a fresh topic for every run."""

    def __init__(self, port: int, partitions: int = 6):
        self.scripts = HERE.parent / "kafka"
        self.environment = os.environ | {"POINTSMAN_KAFKA_HOME": str(TARGET / "kafka"), "POINTSMAN_KAFKA_HEAP": "1g"}
        self.partitions = partitions
        self.count = 0
        start = [self.scripts / "cluster", "start", "--port", str(port), "--while", str(os.getpid())]
        # A topic's data goes when the topic does, not a minute later.
        start += ["--set", "log.segment.delete.delay.ms=100"]
        self.bootstrap = subprocess.run(
            start, env=self.environment, stdout=subprocess.PIPE, text=True, check=True
        ).stdout.strip()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        subprocess.run([self.scripts / "cluster", "stop", "--now"], env=self.environment, check=True)

    @contextlib.contextmanager
    def topic(self):
        self.count += 1
        topic = f"bench-{self.count}"
        self.tool("create", topic, str(self.partitions))
        yield topic
        self.tool("delete", topic)

    def totals(self, topic: str) -> dict:
        ends = json.loads(self.tool("describe", topic))["partitions"]
        return {"records": sum(partition["end"] for partition in ends)}

    def tool(self, *words: str) -> str:
        command = [self.scripts / "tool", "--bootstrap", self.bootstrap, *words]
        return subprocess.run(command, env=self.environment, stdout=subprocess.PIPE, text=True, check=True).stdout


SERVERS = {"sink": Sink, "kafka": Kafka}


def measure(command: list[str], flags: dict, server: Sink | Kafka, timeout: float) -> dict:
    """One run of a client: what it prints, with the bytes that it sent for a record, and the time from its start to what it
    was told last. `flags` hold "--records" and "--warmup".
    """
    with server.topic() as topic:
        words = [str(word) for pair in {"--bootstrap": server.bootstrap, "--topic": topic, **flags}.items() for word in pair]
        before = server.totals(topic)
        started = time.time_ns()
        try:
            done = subprocess.run([*command, *words], stdout=subprocess.PIPE, text=True, timeout=timeout)
        except subprocess.TimeoutExpired:
            raise Failed(f"not done after {timeout} s") from None
        if done.returncode != 0:
            raise Failed(f"ended with status {done.returncode}")
        run = json.loads(done.stdout)
        records, sent = flags["--records"], flags["--records"] + flags["--warmup"]
        if run["ok"] != records or run["failed"] != 0:
            raise Failed(f"delivered {run['ok']} of {records}, {run['failed']} failed")
        after = server.totals(topic)
        arrived = after["records"] - before["records"]
        if arrived != sent:
            raise Failed(f"says it sent {sent}, {arrived} arrived")
        if "bytes" in after:
            run["bytes_per_record"] = round((after["bytes"] - before["bytes"]) / sent, 2)
        if run.get("told_ns"):
            run["since_start_ms"] = round((run["told_ns"] - started) / 1e6, 3)
        return run


def in_turns(names: list[str], rounds: int):
    """Each name once a round. Another one begins each time: who runs first after whom must not matter."""
    for number in range(rounds):
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            yield number, name
