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

    def before(self, topic: str) -> dict:
        return self.totals(topic)

    def totals(self, _topic: str) -> dict:
        """Records and bytes so far."""
        print(file=self.process.stdin, flush=True)
        return json.loads(self.process.stdout.readline())


class Kafka:
    """One real broker, a fresh topic for every run."""

    def __init__(self, port: int, partitions: int = 6, tls: bool = False):
        self.scripts = HERE.parent / "kafka"
        self.environment = os.environ | {"POINTSMAN_KAFKA_HOME": str(TARGET / "kafka"), "POINTSMAN_KAFKA_HEAP": "1g"}
        self.partitions = partitions
        self.count = 0
        start = [self.scripts / "cluster", "start", "--port", str(port), "--while", str(os.getpid())]
        # A topic's data goes when the topic does, not a minute later.
        properties = ["log.segment.delete.delay.ms=100"]
        if tls:
            properties += self.tls(port)
        for line in properties:
            start += ["--set", line]
        self.bootstrap = subprocess.run(
            start, env=self.environment, stdout=subprocess.PIPE, text=True, check=True
        ).stdout.strip()

    def tls(self, port: int) -> list[str]:
        """A listener that speaks TLS beside the other one, and an authority for its certificate."""
        folder = pathlib.Path(self.environment["POINTSMAN_KAFKA_HOME"]) / "tls"
        folder.mkdir(parents=True, exist_ok=True)
        self.ca, self.tls_bootstrap = folder / "ca.pem", f"127.0.0.1:{port + 1}"
        key, request, issued = folder / "broker.key", folder / "broker.csr", folder / "broker.crt"
        names = folder / "names"
        names.write_text("subjectAltName=IP:127.0.0.1\n")
        new = "openssl req -nodes -newkey ec -pkeyopt ec_paramgen_curve:P-256".split()
        for command in (
            [*new, "-x509", "-days", "30", "-subj", "/CN=bench", "-keyout", folder / "ca.key", "-out", self.ca],
            [*new, "-subj", "/CN=broker", "-keyout", key, "-out", request],
            ["openssl", "x509", "-req", "-days", "30", "-in", request, "-CA", self.ca, "-CAkey", folder / "ca.key"]
            + ["-CAcreateserial", "-extfile", names, "-out", issued],
        ):
            subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
        store = folder / "broker.pem"
        store.write_text(key.read_text() + issued.read_text())
        listeners = f"PLAINTEXT://127.0.0.1:{port},SSL://{self.tls_bootstrap}"
        return [
            f"listeners=CONTROLLER://127.0.0.1:{port + 10},{listeners}",
            f"advertised.listeners={listeners}",
            "listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL",
            "ssl.keystore.type=PEM",
            f"ssl.keystore.location={store}",
            # The same for every client.
            "ssl.enabled.protocols=TLSv1.3",
            "ssl.cipher.suites=TLS_AES_256_GCM_SHA384",
        ]

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

    def before(self, _topic: str) -> dict:
        """It is a new one."""
        return {"records": 0}

    def totals(self, topic: str) -> dict:
        ends = json.loads(self.tool("describe", topic))["partitions"]
        return {"records": sum(partition["end"] for partition in ends)}

    def tool(self, *words: str) -> str:
        command = [self.scripts / "tool", "--bootstrap", self.bootstrap, *words]
        return subprocess.run(command, env=self.environment, stdout=subprocess.PIPE, text=True, check=True).stdout


SERVERS = {"sink": Sink, "kafka": Kafka, "kafka-tls": lambda port: Kafka(port, tls=True)}


def measure(command: list[str], flags: dict, server: Sink | Kafka, timeout: float, tls: bool = False) -> dict:
    """One run of a client: what it prints, with the bytes that it sent for a record, and the time from its start to what it
    was told last. `flags` hold "--records" and "--warmup".
    """
    with server.topic() as topic:
        server_flags = {"--bootstrap": server.bootstrap, "--topic": topic}
        if tls:
            server_flags |= {"--bootstrap": server.tls_bootstrap, "--ca": server.ca}
        words = [str(word) for pair in (server_flags | flags).items() for word in pair]
        before = server.before(topic)
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
