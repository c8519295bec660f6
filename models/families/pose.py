"""Networks that find joints."""

from regard.models.catalog_entry import Network
from regard.models.networks.multi_context_pose import MultiContextPose

ENTRIES: dict[str, Network] = {
    "multi_context_pose": Network(
        MultiContextPose,
        "pose",
        "Multi-Context Attention for Human Pose Estimation",
        2017,
        system="multi_context_pose",
        size=256,
        fixed_size=True,
        small={
            "joints": 5,
            "width": 8,
            "stacks": 2,
            "part_stacks": 1,
            "depth": 1,
            "kernel": 3,
            "image_size": 32,
        },
    ),
}
