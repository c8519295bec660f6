"""Bytes on the wire for one segmented image: the label map that is sent, against the logits that stay in the
server.

Measured on answers of a real server: the serialized ModelInferRequest and ModelInferResponse (gRPC), the
bodies (HTTP). A response of float32 logits is reckoned from its shape, labels x height x width x 4 bytes.
"""

from harness import Figure, run, segmenter, served, street

from regard.contract.preprocess import decode
from regard.serving.bench.target import Endpoint, find_target, probe, workers
from regard.serving.protocol.address import address_of
from regard.serving.protocol.connect import connect
from regard.serving.protocol.credentials import Credentials

# endpoint, shared memory
WAYS: tuple[tuple[Endpoint, bool], ...] = (("image", False), ("tensor", False), ("tensor", True))
MAX_OVERHEAD = 1.01  # bytes a pixel: a label is one byte, and a response has a header


def measure(quick: bool) -> list[Figure]:
    options = {"output_stride": 16, "inner": 32} if quick else {"output_stride": 16, "decoder": True}
    network = (
        segmenter("ccnet_mobilenet_v2", 64, 96, **options)
        if quick
        else segmenter("ccnet_mobilenet_v2", 360, 480, **options)
    )
    card = network[1]
    images = street()
    height, width = decode(images[0]).shape[:2]
    logits = 4 * len(card.answer.labels) * height * width
    figures = []
    with served(network) as at:
        for protocol, url in (("grpc", at.server.grpc_url), ("http", at.server.http_url)):
            connection = connect(address_of(url, protocol), Credentials())
            for endpoint, shared in WAYS:
                target = find_target(
                    connection, card.name, endpoint=endpoint, batch=1, images=images, shared_memory=shared
                )
                with workers(target, 1) as prepared:
                    sent, received = probe(prepared[0], target.model)
                way = (
                    f"{protocol}, {'JPEG' if endpoint == 'image' else 'pixels'} "
                    f"in{', shared memory' if shared else ''}"
                )
                figures.append(
                    Figure(
                        f"response for an image of {width} x {height}, {way}",
                        received,
                        "bytes",
                        len(images),
                        "images",
                        target=None if shared else MAX_OVERHEAD * height * width,
                        details={"request_bytes": sent, "response_bytes": received, "logits_bytes": logits},
                    )
                )
            connection.close()
    label_map = figures[0].measured
    return [
        *figures,
        Figure(
            f"logits ({len(card.answer.labels)} labels) / label map",
            logits / label_map,
            "times",
            len(images),
            "images",
        ),
    ]


if __name__ == "__main__":
    run("wire_bytes", "bytes on the wire for one segmented image", measure)
