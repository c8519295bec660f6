"""An artifact, or a variant of one, made ready to run in this process."""

from regard.export.artifact import Artifact
from regard.export.sessions.onnxruntime_session import OnnxRuntimeSession
from regard.export.sessions.onnxruntime_session import name_of as onnxruntime_name
from regard.export.sessions.session import Session


def open_artifact(artifact: Artifact, *, threads: int) -> Session:
    """A session on an artifact's graph, or a variant's, by the runtime that it was proven in.

    threads: that compute one call.

    Raises:
        ExportError: the runtime does not take it.
        ModuleNotFoundError: the runtime is not installed.
    """
    if artifact.runtime == "openvino":
        from regard.export.sessions.openvino_session import OpenVinoSession

        return OpenVinoSession(artifact.model, precision=artifact.precision, threads=threads)
    return OnnxRuntimeSession(artifact, threads=threads)


def runtime_name(artifact: Artifact) -> str:
    """The name of the session that `open_artifact` gives, without opening one."""
    if artifact.runtime == "openvino":
        from regard.export.sessions.openvino_session import name_of

        return name_of(artifact.precision)
    return onnxruntime_name(artifact.precision)
