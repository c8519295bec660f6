"""The TensorRT in NVIDIA's Triton images: an engine loads in that very version alone.

Read in the release notes of NVIDIA's containers of the same tag; a release that is not here is unknown to us,
and `nvcr.io/nvidia/tritonserver:<tag>-trtllm-python-py3` holds another TensorRT than `<tag>-py3`.
"""

RELEASE = "24.10"  # that of the embedded server, which engines are built and checked for
TENSORRT = {"24.10": "10.5.0"}
