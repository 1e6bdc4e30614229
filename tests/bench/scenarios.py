"""What is measured for publication: who against whom, with which flags."""

import dataclasses

# Each with the words after its program.
POINTSMAN = "pointsman"
# With an interceptor of both hooks, key and value serializer and partitioner, all in Wasm.
WITH_WASM = "pointsman with Wasm"
FLOOR = "floor"
PEERS = ["franz-go", "confluent", "librdkafka", "java"]

ROUNDS = 7
# Kafka's default.
BATCH_SIZE = 16_384
LATENCY_RATES = [1_000, 20_000, 100_000]
LATENCY_LINGERS = [0, 5]
LATENCY_SECONDS = 3
THREADS = [1, 2, 4, 8]
PARTITIONS = [6, 600, 6_000]
SIZES = {"16 B": 16, "1 KB": 1_000, "100 KB": 100_000}
CODECS = ["lz4", "zstd"]


@dataclasses.dataclass
class Scenario:
    """One table of runs. `flags` are those of tests/bench/peers/meter. With `variants`, by the words behind a client's name,
    each client runs with each of their flags in every round: what is to be compared is measured in turns."""

    name: str
    clients: list[str]
    records: int
    against: str = "sink"
    partitions: int = 6
    warmup: int = 100_000
    flags: dict = dataclasses.field(default_factory=dict)
    variants: dict[str, dict] = dataclasses.field(default_factory=lambda: {"": {}})

    def all_flags(self, quick: bool) -> dict:
        records, warmup = self.records, self.warmup
        if quick and records > 1:
            records, warmup = max(records // 20, 100), warmup // 20
        return {"--records": records, "--warmup": warmup, **self.flags}

    def runners(self) -> dict[str, tuple[str, dict]]:
        """Who runs in each round: by name, the client and its own flags."""
        return {client + words: (client, flags) for words, flags in self.variants.items() for client in self.clients}


def scenarios() -> list[Scenario]:
    everyone = [FLOOR, POINTSMAN, WITH_WASM, *PEERS]
    clients = [POINTSMAN, *PEERS]
    # 116 bytes, no plugin; and with the chain, in the same rounds.
    found = [Scenario("plain", everyone, 2_000_000)]
    found += [Scenario("kafka", everyone, 1_000_000, against="kafka")]
    # A broker's work is by the batch: what clients make of it is to be seen only where theirs are of a size.
    found += [Scenario("kafka same", clients, 1_000_000, against="kafka", flags={"--batch-size": BATCH_SIZE})]
    for codec in CODECS:
        found.append(Scenario(codec, clients, 1_000_000, flags={"--compression": codec}))
    for (name, size), records in zip(SIZES.items(), [4_000_000, 500_000, 20_000], strict=True):
        warmup = min(100_000, records // 10)
        found.append(
            Scenario(f"size {name}", [FLOOR, *clients], records, warmup=warmup, flags={"--size": size})
        )
    for linger in LATENCY_LINGERS:
        for rate in LATENCY_RATES:
            # Some 3,000 are timed at least, and not so many that it shows.
            flags = {"--linger": linger, "--rate": rate, "--sampled": max(1, rate // 5_000)}
            clients_timed = [POINTSMAN, WITH_WASM, *PEERS]
            found.append(Scenario(latency(rate, linger), clients_timed, rate * LATENCY_SECONDS, flags=flags))
    found.append(
        Scenario("threads", clients, 2_000_000, variants={on_threads(count): {"--threads": count} for count in THREADS})
    )
    for keys in ["yes", "no"]:
        for partitions in PARTITIONS:
            name = f"partitions {partitions} {'keyed' if keys == 'yes' else 'unkeyed'}"
            found.append(Scenario(name, clients, 1_000_000, partitions=partitions, flags={"--keys": keys}))
    # One record, from the start of the process to its acknowledgement.
    found.append(
        Scenario("start", [POINTSMAN, WITH_WASM, *PEERS], 1, warmup=0, flags={"--sampled": 1, "--linger": 0})
    )
    found.append(Scenario("best", clients, 2_000_000, flags={"--best": "yes"}))
    found.append(Scenario("best kafka", clients, 1_000_000, against="kafka", flags={"--best": "yes"}))
    return found


def on_threads(count: int) -> str:
    return f" on {count} threads"


def latency(rate: int, linger: int) -> str:
    return f"latency {rate} linger {linger}"
