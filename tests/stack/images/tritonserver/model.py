"""NVIDIA's `onnxruntime` backend is a library that needs no package of Python. Nor does this one: what an
image derived from this one forgets to install is missing here, too.
"""

import sys

sys.path.append("/opt/tritonserver/backends/onnxruntime/packages")
from onnxruntime_backend import TritonPythonModel as TritonPythonModel
