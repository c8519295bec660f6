"""What is served, by name: tensors, endpoints, and the files of artifacts and model repositories."""

from typing import Literal

Task = Literal[
    "classification",
    "segmentation",
    "captioning",
    "translation",
    "question_answering",
    "pose",
    "reconstruction",
]
TENSOR_PATTERN = r"^[a-z][a-z0-9_]{0,63}$"  # of the names that a Card gives to tensors

IMAGE = "image"  # input of a model: uint8 pixels (B, height, width, 3), RGB
FRAMES = "frames"  # input of a model: uint8 pixels (B, frames, height, width, 3), RGB
START = "start"  # input of a model with state: float32 (B, 1), 1 where a session begins
ENCODED_IMAGE = "encoded_image"  # input of a model's image endpoint: whole JPEG, PNG or WebP files (B, 1)
PROBABILITIES = "probabilities"  # a classifier's answer: float32 (B, K)
ACTIVATION_MAP = "class_activation_map"  # of a classifier that explains itself: float32 (B, height, width)
LABEL_MAP = "label_map"  # a segmenter's answer: uint8 (B, height, width)
SEQUENCE = "sequence"  # words by number: int64 (B, longest), 0 behind the end
LOG_PROBABILITIES = "log_probabilities"  # of each word of a sequence: float32 (B, longest), 0 behind the end
ALIGNMENT = "alignment"  # where each word of a sequence looks: float32 (B, longest, places)
POINTS = "points"  # x, y as fractions of the image, and confidence: float32 (B, joints, 3)
RECONSTRUCTION = "reconstruction"  # an image: uint8 (B, height, width, channels)
POSITION, MORE = "position", "more"  # inside the graphs of a stream: how many words there are; if one follows
TOKEN = "token"  # of an answer word by word: the word's number, int64 (1,)  # noqa: S105
TEXT = "text"  # in words: of a sequence (B, 1), of an answer word by word (1,); UTF-8
LOG_PROBABILITY = "log_probability"  # of an answer word by word: float32 (1,)

# `<name>` takes tensors; what else a repository holds of a model is called <name> and one of these
IMAGE_ENDPOINT = "_image"  # takes image files, and texts beside them
TEXT_ENDPOINT = "_text"  # takes texts, of a model without an image
STREAM_ENDPOINT = "_stream"  # takes the same as the one of those that there is, and answers word by word
ENDPOINTS = (IMAGE_ENDPOINT, TEXT_ENDPOINT, STREAM_ENDPOINT)
PREPROCESS_STEP = "_preprocess"  # of repositories that an earlier regard wrote
OWN_SUFFIXES = (*ENDPOINTS, PREPROCESS_STEP)

MODEL_FILE = "model.onnx"
ENCODE_FILE, STEP_FILE = "encode.onnx", "step.onnx"  # what a stream of words runs, cut out of that
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


def model_of(endpoint: str) -> str:
    """The name of the model that an endpoint is one of."""
    suffix = next((each for each in ENDPOINTS if endpoint.endswith(each)), "")
    return endpoint.removesuffix(suffix)
