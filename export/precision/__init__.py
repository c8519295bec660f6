"""The same network in another precision: int8, by NNCF's post-training quantization of its graph, or fp16."""
