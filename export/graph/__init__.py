"""The served graph as ONNX: what is traced, how it is translated, and what every graph is held to."""
