"""What models, export and serving agree on: the Card, names, preprocessing, files. No torch and no onnx here.

It needs numpy, Pillow and pydantic, and depends on `regard.errors` alone.
"""
