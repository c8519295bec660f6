"""The names by which the gateway reads how requests are split: files below `<deployment>/routing/current`,
each of which holds a whole number from 0 to 100. docker/gateway/routes.yaml has the same names.

Envoy's weights are of clusters, and a colour has one for HTTP and one for gRPC: both files hold its weight.
"""

FOLDER = "routing"  # below `current`, as Envoy's runtime keys are routing.http_a, ...


def weight_files(colour: str) -> tuple[str, str]:
    """Paths below `current` that hold a colour's share of requests; those of both colours sum to 100."""
    return f"{FOLDER}/http_{colour}", f"{FOLDER}/grpc_{colour}"


def mirror_file(colour: str) -> str:
    """Path below `current` that holds how many of 100 inference requests a colour gets a copy of."""
    return f"{FOLDER}/mirror_{colour}"
