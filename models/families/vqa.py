"""Networks that answer in words about an image."""

from regard.models.catalog_entry import Network
from regard.models.networks.cyclical_captioner import CyclicalCaptioner
from regard.models.networks.han import adahan, han
from regard.models.networks.show_attend_tell import HardShowAttendTell, SoftShowAttendTell

_HAN = "Learning Visual Question Answering by Bootstrapping Hard Attention"
_SHOW_ATTEND_TELL = "Show, Attend and Tell: Neural Image Caption Generation with Visual Attention"
_CYCLICAL = "Learning to Generate Grounded Visual Captions without Localization Supervision"

_SMALL_IMAGES = {"backbone": "strided3", "width": 8, "image_size": 32}
_SMALL_QUESTIONS = {**_SMALL_IMAGES, "words": 12, "longest": 8, "embedding": 8, "hidden": 16, "fused": 16}
_SMALL_CAPTIONS = {**_SMALL_IMAGES, "words": 12, "longest": 5, "embedding": 8, "hidden": 16}

ENTRIES: dict[str, Network] = {
    "han": Network(
        han, "question_answering", _HAN, 2018, system="han", small={**_SMALL_QUESTIONS, "cells": 4}
    ),
    "adahan": Network(adahan, "question_answering", _HAN, 2018, system="adahan", small=_SMALL_QUESTIONS),
    "show_attend_tell_soft": Network(
        SoftShowAttendTell,
        "captioning",
        _SHOW_ATTEND_TELL,
        2015,
        system="show_attend_tell",
        variant="soft",
        small={**_SMALL_CAPTIONS, "attending": 8},
    ),
    "show_attend_tell_hard": Network(
        HardShowAttendTell,
        "captioning",
        _SHOW_ATTEND_TELL,
        2015,
        system="show_attend_tell",
        variant="hard",
        small={**_SMALL_CAPTIONS, "attending": 8},
    ),
    "cyclical_captioner": Network(
        CyclicalCaptioner,
        "captioning",
        _CYCLICAL,
        2020,
        system="cyclical_captioner",
        small=_SMALL_CAPTIONS,
    ),
}
