"""Steps of a served model that run in the server, in Python, one folder each: it runs `model.py`."""
