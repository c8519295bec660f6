"""What is served, by name: tensors, endpoints, and the files of artifacts and model repositories."""

from typing import Literal

Task = Literal["classification", "segmentation"]

IMAGE = "image"  # input of a model: uint8 pixels (B, height, width, 3), RGB
ENCODED_IMAGE = "encoded_image"  # input of a model's image endpoint: whole JPEG, PNG or WebP files (B, 1)
PROBABILITIES = "probabilities"  # a classifier's answer: float32 (B, K)
ACTIVATION_MAP = "class_activation_map"  # of a classifier that explains itself: float32 (B, height, width)
LABEL_MAP = "label_map"  # a segmenter's answer: uint8 (B, height, width)

# `<name>` takes tensors; what else a repository holds of a model is called <name> and one of these
IMAGE_ENDPOINT = "_image"
PREPROCESS_STEP = "_preprocess"  # of repositories that an earlier regard wrote
OWN_SUFFIXES = (IMAGE_ENDPOINT, PREPROCESS_STEP)

MODEL_FILE = "model.onnx"
ENGINE_FILE = "model.plan"  # TensorRT's, built from the graph beside it
OPERATORS_FILE = "operators.so"  # kernels of the graph's own operators, for ONNX Runtime
CARD_FILE = "card.json"
MANIFEST_FILE = "manifest.json"
CONFIG_FILE = "config.pbtxt"
LABELS_FILE = "labels.txt"

# folders of an artifact
GOLDENS = "goldens"
VARIANTS = "variants"

CARD_METADATA = "regard.card"  # key of the Card in an ONNX file's metadata
CARD_PARAMETER = "card"  # key of the Card among a configuration's parameters
