"""The embedded server: launch, supervise, and the backends and preprocessing step that run inside it."""
