"""Which versions of a model its configuration serves, and a configuration that serves those named."""

from collections.abc import Sequence

from tritonclient.grpc.model_config_pb2 import ModelConfig, ModelVersionPolicy


def chosen(config: ModelConfig, present: Sequence[int]) -> tuple[int, ...]:
    """What the version_policy chooses of the versions that are there (rising): by default the newest."""
    policy = config.version_policy
    match policy.WhichOneof("policy_choice"):
        case "all":
            return tuple(present)
        case "specific":
            return tuple(version for version in present if version in policy.specific.versions)
        case _:
            return tuple(present[-max(1, policy.latest.num_versions) :])


def with_versions(config: ModelConfig, versions: Sequence[int]) -> ModelConfig:
    """The same configuration, but for exactly these versions."""
    narrowed = ModelConfig()
    narrowed.CopyFrom(config)
    narrowed.version_policy.CopyFrom(
        ModelVersionPolicy(specific=ModelVersionPolicy.Specific(versions=versions))
    )
    return narrowed
