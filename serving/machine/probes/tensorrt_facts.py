"""The version of TensorRT, or of TensorRT-RTX: `tensorrt` or `tensorrt_rtx` is the argument."""

import importlib
import json
import sys

print(json.dumps({"version": importlib.import_module(sys.argv[1]).__version__}))
