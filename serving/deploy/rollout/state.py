"""How a deployment stands: what its files say, and what the colours say of themselves."""

from dataclasses import asdict
from typing import Any

from regard.errors import RegardError
from regard.serving.deploy.colours import COLOURS, read_colours
from regard.serving.deploy.rollout.rollout import Place
from regard.serving.deploy.rollout.underway import read_underway
from regard.serving.deploy.routing import read_routing


def state_of(place: Place) -> dict[str, Any]:
    """In JSON's types. A colour that does not answer has a fault in place of its status.

    Raises:
        InvalidInput: a file of the deployment cannot be read.
    """
    routing, sources = read_routing(place.folder), read_colours(place.folder)
    underway = read_underway(place.folder)
    return {
        "colours": {
            colour: {
                "source": sources[colour],
                "percent": routing.weights[colour],
                "mirrored": 0 if colour == routing.main else routing.mirror,
                **_asked(place, colour),
            }
            for colour in COLOURS
        },
        "underway": None if underway is None else asdict(underway),
    }


def _asked(place: Place, colour: str) -> dict[str, Any]:
    try:
        status = place.gateway.status(colour)
    except RegardError as error:
        return {"fault": str(error), "status": None}
    return {"fault": None, "status": asdict(status)}
