"""What this card was measured to do at most: bytes of a large copy, operations of a large matrix product."""

import math

import torch
from bench import Bench, Job
from figures import Figure

COPY_BYTES = 2**31
SIDE = 8192


def jobs() -> list[Job]:
    """The copy first: the floors are made of it."""
    types = (torch.float32, torch.float16, torch.bfloat16)
    return [Job("copy bandwidth", copy), *(Job(f"matrix product, {_name(t)}", product(t)) for t in types)]


def copy(bench: Bench) -> list[Figure]:
    """From one place of the card's memory to another; read and written bytes count."""
    size = 2**16 if bench.rehearsing else COPY_BYTES
    source = torch.randint(255, (size,), dtype=torch.uint8, device=bench.device)
    target = torch.empty_like(source)
    seconds = bench.in_turns({"copy": lambda: target.copy_(source)})["copy"]
    bench.copy = 2 * size / seconds
    return [Figure("copy bandwidth", bench.copy / 1e12, "TB/s", bench.rounds, "runs")]


def product(dtype: torch.dtype):
    """Of random numbers: zeros take less power, and time. float32 is not TF32 here."""

    def measure(bench: Bench) -> list[Figure]:
        side = 64 if bench.rehearsing else SIDE
        a, b = (torch.randn(side, side, device=bench.device).to(dtype) for _ in range(2))
        seconds = bench.in_turns({"product": lambda: a @ b})["product"]
        bench.products[_name(dtype)] = rate = 2 * side**3 / seconds
        return [Figure(f"matrix product, {_name(dtype)}", rate / 1e12, "TFLOP/s", bench.rounds, "runs")]

    return measure


def arithmetic_seconds(bench: Bench, operations: int, dtype: torch.dtype) -> float:
    """The time that so many operations take at the rate of the large product."""
    return operations / bench.products.get(_name(dtype), math.nan)


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
