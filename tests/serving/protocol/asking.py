"""One image asked about by either client."""

import asyncio
from collections.abc import Callable
from typing import Any

import numpy as np

from regard.contract.results import Classification
from regard.serving.client.aio import AsyncClient
from regard.serving.client.sync import Client

Ask = Callable[..., Classification]
IMAGE = np.random.default_rng(0).integers(0, 256, (28, 28, 3), dtype=np.uint8)


def ask_sync(url: str, model: str, **options: Any) -> Classification:
    """The answer of a Client made with these options."""
    with Client(url, **options) as client:
        return client.classify(model, IMAGE)[0]


def ask_async(url: str, model: str, **options: Any) -> Classification:
    """The answer of an AsyncClient made with these options."""

    async def ask() -> Classification:
        async with AsyncClient(url, **options) as client:
            return (await client.classify(model, IMAGE))[0]

    return asyncio.run(ask())
