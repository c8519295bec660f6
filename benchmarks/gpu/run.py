"""Everything that needs a GPU, in one run of less than eight minutes: kernels, networks, engines.

    python benchmarks/gpu/run.py [--artifacts FOLDER] [--out FOLDER] [--only PART ...] [--quick] [--rehearse]

The parts run in the order of PARTS, the most important first. A job that fails is a row with its error, and
the others go on; what no longer fits into the time is a row as well. The result is written after every job.
Exit code 3: there is no GPU; 1: a job failed or a kernel is wrong.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
sys.path[:0] = [
    str(FOLDER),
    str(FOLDER.parent),
    str(FOLDER.parents[1] / "src"),
]  # regard need not be installed

import torch
from bench import Bench, Job
from figures import Figure
from running import PURPOSE, run

NO_GPU = 3


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(description=PURPOSE)
    parser.add_argument("--artifacts", type=Path, help="folder of the artifacts `garments` and `streets`")
    parser.add_argument("--out", type=Path, default=FOLDER.parent / "results", help="where gpu.json goes")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="parts to run")
    parser.add_argument("--quick", action="store_true", help="few shapes and rounds, written elsewhere")
    parser.add_argument("--rehearse", action="store_true", help="tiny, on the CPU; its figures mean nothing")
    given = parser.parse_args(arguments)
    if given.rehearse:
        os.environ["TRITON_INTERPRET"] = "1"  # before it is imported
    elif not torch.cuda.is_available():
        print("gpuless", file=sys.stderr)
        return NO_GPU
    apart = given.quick or given.rehearse
    bench = Bench(
        torch.device("cpu" if given.rehearse else "cuda"),
        rounds=2 if given.rehearse else 20 if given.quick else 100,
        quick=apart,
    )
    out = Path(tempfile.mkdtemp(prefix="regard_benchmarks_")) if apart else given.out
    jobs = [job for part in PARTS if part in given.only for job in planned(part, bench, given.artifacts)]
    return run(bench, jobs, out / "gpu.json")


def planned(part: str, bench: Bench, artifacts: Path | None) -> list[Job]:
    """The jobs of a part; one that fails, where a package is missing that they need."""
    try:
        return PARTS[part](bench, artifacts)
    except ImportError as error:
        missing = error  # outlives the clause

        def fail(bench: Bench) -> list[Figure]:
            raise missing

        return [Job(part, fail)]


def _ceilings(bench: Bench, artifacts: Path | None) -> list[Job]:
    import ceilings

    return ceilings.jobs()


def _kernels(bench: Bench, artifacts: Path | None) -> list[Job]:
    import kernels

    return kernels.jobs(bench)


def _networks(bench: Bench, artifacts: Path | None) -> list[Job]:
    import networks

    return networks.eager_jobs() + networks.onnxruntime_jobs(artifacts)


def _engines(bench: Bench, artifacts: Path | None) -> list[Job]:
    import engines

    return engines.jobs(artifacts)


def _compiled(bench: Bench, artifacts: Path | None) -> list[Job]:
    import networks

    return networks.compile_jobs()


def _tiles(bench: Bench, artifacts: Path | None) -> list[Job]:
    import tiles

    return tiles.jobs(bench)


# imported when planned: a part whose packages are missing must not stop the others
PARTS: dict[str, Callable[[Bench, Path | None], list[Job]]] = {
    "ceilings": _ceilings,
    "kernels": _kernels,
    "networks": _networks,
    "engines": _engines,
    "compiled": _compiled,
    "tiles": _tiles,
}

if __name__ == "__main__":
    sys.exit(main())
