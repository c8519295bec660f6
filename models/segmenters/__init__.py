"""Semantic segmenters: networks from a backbone and a head."""

from regard.models.segmenters.builders import (
    asp_oc,
    base_oc,
    ccnet,
    danet,
    deeplabv3,
    eanet,
    fcn,
    gcnet,
    nonlocal_,
    pan,
    pspnet,
    pyramid_oc,
)
from regard.models.segmenters.ccnet import ConsistentCCNet
from regard.models.segmenters.danet import DANet
from regard.models.segmenters.pan import PAN
from regard.models.segmenters.segmenter import Segmenter

__all__ = [
    "PAN",
    "ConsistentCCNet",
    "DANet",
    "Segmenter",
    "asp_oc",
    "base_oc",
    "ccnet",
    "danet",
    "deeplabv3",
    "eanet",
    "fcn",
    "gcnet",
    "nonlocal_",
    "pan",
    "pspnet",
    "pyramid_oc",
]
