"""The backend of a model's endpoint for words one by one."""
