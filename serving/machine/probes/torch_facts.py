"""Whether PyTorch computes on a GPU here."""

import json

import torch

print(
    json.dumps(
        {
            "version": torch.__version__,
            "cuda": torch.version.cuda,  # that it was built with; None for a CPU's build
            "gpu": torch.cuda.is_available(),
        }
    )
)
