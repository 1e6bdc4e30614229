"""The results as SVG. Run by the interpreter that has matplotlib: tests/bench/report makes one."""

import pathlib
import statistics
import sys

sys.dont_write_bytecode = True
import matplotlib  # noqa: E402

matplotlib.use("svg")
import matplotlib.pyplot as plt  # noqa: E402

import scenarios  # noqa: E402
from results import Missing, Results  # noqa: E402
from scenarios import FLOOR, LATENCY_LINGERS, LATENCY_RATES, PEERS, POINTSMAN, WITH_WASM  # noqa: E402

COLOURS = {
    FLOOR: "#9e9e9e",
    POINTSMAN: "#c62828",
    WITH_WASM: "#ef6c00",
    "franz-go": "#1565c0",
    "confluent": "#00838f",
    "librdkafka": "#6a1b9a",
    "java": "#558b2f",
}


def main() -> None:
    folder = pathlib.Path(sys.argv[1])
    # The same figures make the same file, of text and not of letters' outlines.
    plt.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "pointsman", "font.size": 10})
    results = Results(folder)
    for name, draw in {"cpu": cpu, "latency": latency}.items():
        try:
            figure = draw(results)
        except Missing as missing:
            print(f"{name}.svg is not drawn: no {missing}", file=sys.stderr)
            continue
        figure.savefig(folder / f"{name}.svg", bbox_inches="tight", metadata={"Date": None})


def cpu(results: Results):
    """CPU for a record against the sink."""
    clients = [FLOOR, POINTSMAN, WITH_WASM, *PEERS]
    figure, axes = plt.subplots(figsize=(7.5, 2.8))
    for client in reversed(clients):
        runs = results.all("plain", client, "cpu_ns_per_record")
        middle = statistics.median(runs)
        spread = [[middle - min(runs)], [max(runs) - middle]]
        axes.barh(client, middle, xerr=spread, color=COLOURS[client], error_kw={"ecolor": "#424242", "capsize": 2})
        axes.annotate(f" {middle:,.0f}", (max(runs), client), va="center")
    axes.set_xlabel("CPU for a record of 116 bytes, ns (median; least and most of all rounds)")
    axes.margins(x=0.1)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def latency(results: Results):
    """p50 and p99 by rate, one field for each linger."""
    figure, fields = plt.subplots(1, len(LATENCY_LINGERS), figsize=(7.5, 3.6), sharey=True, layout="constrained")
    for axes, linger in zip(fields, LATENCY_LINGERS, strict=True):
        for client in [POINTSMAN, WITH_WASM, *PEERS]:
            for key, style in {"p50_ms": "-", "p99_ms": ":"}.items():
                names = [scenarios.latency(rate, linger) for rate in LATENCY_RATES]
                line = [results.median(name, client, key) for name in names]
                label = client if style == "-" else None
                axes.plot(LATENCY_RATES, line, style, color=COLOURS[client], marker=".", label=label)
        axes.set(xscale="log", yscale="log", title=f"linger {linger} ms", xlabel="records/s")
        axes.spines[["top", "right"]].set_visible(False)
    fields[0].set_ylabel("send to delivery, ms\n(p50; dotted: p99)")
    figure.legend(*fields[0].get_legend_handles_labels(), loc="outside upper center", ncols=3, frameon=False)
    return figure


if __name__ == "__main__":
    main()
