"""Compilers: g++ for operators' kernels on processors, nvcc for those on GPUs."""

import re
from collections.abc import Iterator

from regard.serving.doctor.finding import Finding, note, ok
from regard.serving.machine.asking import ask

FIRST_VERSION = re.compile(r"\b\d+\.\d+(?:\.\d+)*")


def cpp() -> Iterator[Finding]:
    """The compiler of C++."""
    yield _compiler(
        "g++",
        "-dumpfullversion",
        need="operators' kernels for processors cannot be built here, and their portable form serves",
        step="apt install g++",
    )


def cuda() -> Iterator[Finding]:
    """NVIDIA's compiler."""
    yield _compiler(
        "nvcc",
        "-V",
        need="nothing that regard ships needs it",
        step="to compile CUDA of your own, install NVIDIA's CUDA toolkit",
    )


def _compiler(name: str, option: str, *, need: str, step: str) -> Finding:
    answer = ask(name, option)
    version = FIRST_VERSION.search(answer.output)
    if answer.fault is not None:
        return note(name, f"{answer.fault}: {need}", step)
    if version is None:
        return note(name, f"does not tell its version: {need}", step)
    return ok(name, version[0], {"version": version[0]})
