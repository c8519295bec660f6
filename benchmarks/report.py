"""Write README.md from results/*.json, so that it says nothing that was not measured."""

import json
from pathlib import Path
from typing import Any

from regard.contract.whole_file import write_text

FOLDER = Path(__file__).parent
ORDER = (
    *("peers", "served_throughput", "added_latency", "wire_bytes", "time_to_serve", "small_models"),
    *("gateway", "given_up", "perf_analyzer", "video"),
    *("precision", "operators", "attention_formulations", "segmentation_heads", "start_time"),
)
GPU = "gpu"  # measured by gpu/run.py where one is lent; run_all.py does not
HEAD = """# Benchmarks

Written by `python benchmarks/report.py` from `results/`; do not edit it. `python benchmarks/run_all.py`
measures everything again; with `--quick` it uses small networks, only to see that it works. Each script
starts a server of its own and says in its first lines what it measures and how; `docs/bench.md` says how
the load generator does. What is compared runs in turn within one run. Pages of their own: [every network of
the catalog](../docs/catalog.md) (`catalog.py`), [networks of other libraries](../docs/conformance.md)
(`conformance.py`). `decoders.py` compares two JPEG decoders ([why](../docs/decisions/0024-decoder.md)),
`label_map_tail.py` a segmenter's last steps ([why](../docs/decisions/0042-cheap-tail.md)).
"""


def readme(results: dict[str, dict[str, Any]]) -> str:
    """The page: a table of figures for each benchmark, then the machines and the versions."""
    lines = [HEAD]
    for name, result in results.items():
        lines += [
            f"## {name.replace('_', ' ').capitalize()}",
            "",
            f"`{result['command']}`: {result['purpose']}.",
            "",
        ]
        lines += ["| figure | target | measured | met | n |", "|---|---|---|---|---|"]
        lines += [f"| {_row(figure)} |" for figure in result["figures"]] + [""]
    missing = [name for name in ORDER if name not in results]
    if missing:
        lines += [f"Not measured yet: {', '.join(missing)}.", ""]
    if GPU not in results:
        lines += ["Not run on a GPU yet: `python benchmarks/gpu/run.py`, see [gpu/](gpu/README.md).", ""]
    lines += ["## Where", "", "| benchmark | machine | load before | versions |", "|---|---|---|---|"]
    for name, result in results.items():
        machine = result["machine"]
        where = (
            f"{machine['processor']}, {machine['processors']} processors, {machine['memory_gib']} GiB, "
            f"{machine['system']}"
        )
        packages = dict(result["versions"])
        for figure in result["figures"]:  # of what was installed for the run alone
            packages |= figure["details"].get("versions", {})
        versions = ", ".join(f"{package} {version}" for package, version in packages.items())
        lines.append(f"| {name} | {where} | {result['load_average_before']} | {versions} |")
    return "\n".join(lines) + "\n"


def read_results(folder: Path) -> dict[str, dict[str, Any]]:
    """The results by name, in ORDER, the GPU's last; quick ones do not count."""
    paths = {name: folder / f"{name}.json" for name in (*ORDER, GPU)}
    found = {
        name: json.loads(path.read_text(encoding="utf-8")) for name, path in paths.items() if path.is_file()
    }
    return {name: result for name, result in found.items() if not result["quick"]}


def _row(figure: dict[str, Any]) -> str:
    measured = "-" if figure["measured"] is None else _number(figure["measured"])
    if figure["half_width"] is not None:
        measured += f" ± {_number(figure['half_width'])}"
    target = (
        "" if figure["target"] is None else f"{figure['better']} {_number(figure['target'])} {figure['unit']}"
    )
    met = {True: "yes", False: "**no**", None: ""}[figure["met"]]
    cells = (figure["name"], target, f"{measured} {figure['unit']}", met, f"{figure['n']:,} {figure['of']}")
    return " | ".join(cell.strip() for cell in cells)


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 or value == int(value) else f"{value:.3g}"


if __name__ == "__main__":
    write_text(FOLDER / "README.md", readme(read_results(FOLDER / "results")))
