"""What was measured, and what it says about each target."""

import dataclasses
import json
import pathlib
import statistics

import scenarios
from scenarios import CODECS, FLOOR, LATENCY_LINGERS, LATENCY_RATES, PARTITIONS, PEERS, POINTSMAN, SIZES, THREADS, WITH_WASM

# buffer.memory's default, and what may come on top.
MEMORY_MIB = 32 + 64


class Missing(Exception):
    """A figure that was not measured."""


@dataclasses.dataclass
class Row:
    what: str
    target: str
    measured: str
    # None: not measured.
    met: bool | None

    def verdict(self) -> str:
        return {True: "yes", False: "**no**", None: "not measured"}[self.met]


class Results:
    def __init__(self, folder: pathlib.Path):
        files = sorted((folder / "runs").glob("*.json"))
        self.measured = {done["scenario"]: done for done in map(json.loads, map(pathlib.Path.read_text, files))}

    def runs(self, scenario: str, client: str) -> list[dict]:
        runs = self.measured.get(scenario, {}).get("runs", {}).get(client)
        if not runs:
            raise Missing(f"{client} in '{scenario}'")
        return runs

    def all(self, scenario: str, client: str, key: str) -> list[float]:
        if key == "records_per_second":
            return [run["ok"] / run["seconds"] for run in self.runs(scenario, client)]
        return [run[key] for run in self.runs(scenario, client)]

    def median(self, scenario: str, client: str, key: str) -> float:
        return statistics.median(self.all(scenario, client, key))

    def best(self, scenario: str, key: str, better=min) -> tuple[str, float]:
        """The peer with the best median."""
        medians = {}
        for peer in PEERS:
            try:
                medians[peer] = self.median(scenario, peer, key)
            except Missing:
                continue
        if not medians:
            raise Missing(f"a peer in '{scenario}'")
        peer = better(medians, key=medians.__getitem__)
        return peer, medians[peer]

    def cpu(self, scenario: str, client: str) -> float:
        return self.median(scenario, client, "cpu_ns_per_record")

    def failures(self) -> list[str]:
        return [
            f"{client} in '{scenario}': {why}"
            for scenario, done in self.measured.items()
            for client, why in done["failed"].items()
        ]

    def rows(self) -> list[Row]:
        """The targets, in order."""
        rows = []
        for what, target, judge in self.targets():
            try:
                measured, met = judge()
            except Missing as missing:
                measured, met = f"no {missing}", None
            rows.append(Row(what, target, measured, met))
        return rows

    def targets(self):
        yield "CPU for a record, no plugins", "≤ 0.15 of the best peer's, or ≤ 2.5 floors", self.plain
        yield "the same with interceptor, both serializers, partitioner in Wasm", "≤ 0.25 of the best peer's without any", self.with_wasm
        for codec in CODECS:
            yield f"CPU for a record with {codec}", "≤ 2/3 of the best peer's, at most 3 % larger", lambda c=codec: self.codec(c)
        for size in SIZES:
            yield f"CPU for a byte, records of {size}", "not behind a peer", lambda s=size: self.size(s)
        yield "records/s to a real broker, batch.size 16 KiB", "≥ 0.95 of the best peer's", lambda: self.rate("kafka same", 0.95)
        yield "the same, each with its own batch.size", "≥ 0.95 of the best peer's", lambda: self.rate("kafka", 0.95)
        yield "records/s to the sink", "≥ 3 times the best peer's", lambda: self.rate("plain", 3)
        for linger in LATENCY_LINGERS:
            for rate in LATENCY_RATES:
                what = f"latency at {rate:,} records/s, linger {linger}: p50, p99 (p99.9)"
                yield what, "not behind beyond the spread", lambda r=rate, n=linger: self.latency(r, n)
        yield "peak memory with these plugins", f"≤ {MEMORY_MIB} MiB: buffer.memory + 64", self.memory
        yield "records/s with 1, 2, 4, 8 threads", "≥ 0.9 of one's", self.threads
        yield "CPU for a record without key, 6, 600, 6,000 partitions", "≤ 1.5 times the first", self.unkeyed
        for count in PARTITIONS:
            yield f"the same with keys, {count:,} partitions", "not behind a peer", lambda c=count: self.keyed(c)
        yield "process start to first acknowledgement, with these plugins", "≤ 100 ms", self.start

    def against_best(self, ours: float, scenario: str) -> tuple[str, float]:
        peer, theirs = self.best(scenario, "cpu_ns_per_record")
        return f"{ours:,.0f} ns, {peer} {theirs:,.0f}: {ours / theirs:.2f}", ours / theirs

    def plain(self):
        ours, floor = self.cpu("plain", POINTSMAN), self.cpu("plain", FLOOR)
        said, ratio = self.against_best(ours, "plain")
        return f"{said}; {ours / floor:.1f} floors", ratio <= 0.15 or ours <= 2.5 * floor

    def with_wasm(self):
        said, ratio = self.against_best(self.cpu("plain", WITH_WASM), "plain")
        return said, ratio <= 0.25

    def codec(self, codec: str):
        said, ratio = self.against_best(self.cpu(codec, POINTSMAN), codec)
        peer, _ = self.best(codec, "cpu_ns_per_record")
        size, theirs = (self.median(codec, client, "bytes_per_record") for client in (POINTSMAN, peer))
        return f"{said}; {size:.1f} bytes, {peer} {theirs:.1f}", ratio <= 2 / 3 and size <= 1.03 * theirs

    def size(self, size: str):
        scenario, of = f"size {size}", SIZES[size]
        ours = self.cpu(scenario, POINTSMAN) / of
        peer, theirs = self.best(scenario, "cpu_ns_per_record")
        return f"{ours:.3f} ns, {peer} {theirs / of:.3f}: {ours * of / theirs:.2f}", ours * of <= theirs

    def rate(self, scenario: str, at_least: float):
        ours = self.median(scenario, POINTSMAN, "records_per_second")
        peer, theirs = self.best(scenario, "records_per_second", max)
        return f"{ours:,.0f}, {peer} {theirs:,.0f}: {ours / theirs:.2f}", ours >= at_least * theirs

    def latency(self, rate: int, linger: int):
        """Behind is who needs longer than the best peer did in any of its rounds."""
        scenario, said, met = scenarios.latency(rate, linger), [], True
        for key in ("p50_ms", "p99_ms"):
            ours = self.median(scenario, POINTSMAN, key)
            peer, theirs = self.best(scenario, key)
            said.append(f"{ours:.2f} ms, {peer} {theirs:.2f}")
            met &= ours <= max(self.all(scenario, peer, key))
        peer, theirs = self.best(scenario, "p999_ms")
        said.append(f"({self.median(scenario, POINTSMAN, 'p999_ms'):.2f}, {peer} {theirs:.2f})")
        return "; ".join(said), met

    def memory(self):
        most = {name: max(self.all(name, WITH_WASM, "max_rss_kb")) / 1024 for name in ("plain", "kafka")}
        said = f"{most['plain']:.0f} MiB on the sink, {most['kafka']:.0f} on a broker"
        return said, max(most.values()) <= MEMORY_MIB

    def threads(self):
        by_count = [POINTSMAN + scenarios.on_threads(count) for count in THREADS]
        rates = [self.median("threads", name, "records_per_second") for name in by_count]
        return ", ".join(f"{rate:,.0f}" for rate in rates), min(rates) >= 0.9 * rates[0]

    def unkeyed(self):
        costs = [self.cpu(f"partitions {count} unkeyed", POINTSMAN) for count in PARTITIONS]
        return ", ".join(f"{cost:,.0f} ns" for cost in costs), max(costs) <= 1.5 * costs[0]

    def keyed(self, count: int):
        scenario = f"partitions {count} keyed"
        said, ratio = self.against_best(self.cpu(scenario, POINTSMAN), scenario)
        return said, ratio <= 1

    def start(self):
        ours = self.median("start", WITH_WASM, "since_start_ms")
        peer, theirs = self.best("start", "since_start_ms")
        plain = self.median("start", POINTSMAN, "since_start_ms")
        return f"{ours:.0f} ms, without any {plain:.0f}, {peer} {theirs:.0f}", ours <= 100
