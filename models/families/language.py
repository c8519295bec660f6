"""Networks that read and write."""

from functools import partial
from typing import Any

from regard.models.catalog_entry import Network
from regard.models.networks.memn2n import MemN2N
from regard.models.networks.rnnsearch import RNNSearch
from regard.models.networks.transformer import Transformer

_BAHDANAU = "Neural Machine Translation by Jointly Learning to Align and Translate"
_VASWANI = "Attention Is All You Need"
_SUKHBAATAR = "End-To-End Memory Networks"
_SMALL_TRANSFORMER: dict[str, Any] = {
    "words": 20,
    "answer_words": 12,
    "width": 16,
    "depth": 1,
    "heads": 2,
    "hidden": 32,
    "longest": 6,
}

ENTRIES: dict[str, Network] = {
    "rnnsearch": Network(
        RNNSearch,
        "translation",
        _BAHDANAU,
        2015,
        system="rnnsearch",
        small={"words": 20, "answer_words": 12, "width": 16, "hidden": 16, "maxout": 16, "longest": 6},
    ),
    "transformer": Network(
        Transformer,
        "translation",
        _VASWANI,
        2017,
        system="transformer",
        small=_SMALL_TRANSFORMER,
    ),
    "transformer_big": Network(
        partial(Transformer, width=1024, heads=16, hidden=4096),
        "translation",
        _VASWANI,
        2017,
        system="transformer_big",
        small=_SMALL_TRANSFORMER,
    ),
    "memn2n": Network(
        MemN2N,
        "question_answering",
        _SUKHBAATAR,
        2015,
        system="memn2n",
        small={"words": 20, "num_classes": 5, "sentences": 8, "width": 16},
    ),
}
