"""Going back to the version before, and freeing the colour that serves nobody."""

from regard.errors import InvalidInput
from regard.serving.deploy.colours import REPOSITORY, folder_of, read_colours, write_colours
from regard.serving.deploy.rollout.history import Entry, last_change, note, rolled_back
from regard.serving.deploy.rollout.rollout import Place, recover
from regard.serving.deploy.rollout.settings import Teller
from regard.serving.deploy.rollout.settled import let_go
from regard.serving.deploy.rollout.snapshots import prune
from regard.serving.deploy.rollout.underway import alone
from regard.serving.deploy.routing import Routing, other, read_routing, write_routing
from regard.serving.repository.layout import home_of


def roll_back(place: Place, tell: Teller) -> Entry:
    """Give the requests back to the colour that had them before the last promotion, at once: it still runs.

    Raises:
        InvalidInput: there is nothing to go back to, or that colour does not serve; nothing was changed.
        RegardError: the colour does not answer; likewise.
    """
    with alone(place.folder):
        recover(place, tell)
        main = read_routing(place.folder).main
        last = last_change(place.folder)
        if last is None or last.event != "promoted" or last.colour != main:
            raise InvalidInput(
                f"the last change in the history did not promote {main}, which serves, so that there is "
                "nothing to go back to; roll out the version that you want"
            )
        old = other(main)
        status, colours = place.gateway.status(old), read_colours(place.folder)
        source = colours[old]
        if source is None or status.state != "serving" or status.source != source:
            why = f": {status.reason}" if status.reason else ""
            raise InvalidInput(
                f"{old}, which served before, does not serve {source or 'anything'} (it is {status.state} on "
                f"{status.source}{why}); {main} serves on. Try again when it does, or roll the earlier "
                "version out again"
            )
        write_routing(place.folder, Routing(old))
        tell.step(f"the requests go to {old} again")
        entry = rolled_back(last, old, source)
        note(place.folder, entry)
        if last.model is not None and last.version is not None:
            let_go(place.gateway, _endpoint(place, colours[main], last.model), last.version)
        tell.step(f"{old} serves them; {main} keeps what it has until it is retired")
        return entry


def retire(place: Place, tell: Teller) -> Entry:
    """Free the colour that serves nobody: its server ends, and its memory and its snapshot are given back.

    Raises:
        InvalidInput: it is idle already.
    """
    with alone(place.folder):
        recover(place, tell)
        idle = other(read_routing(place.folder).main)
        colours = read_colours(place.folder)
        source = colours[idle]
        if source is None:
            raise InvalidInput(f"{idle} is idle already; there is nothing to free")
        write_colours(place.folder, colours | {idle: None})
        entry = Entry(event="retired", colour=idle, source=source)
        note(place.folder, entry)
        prune(place.folder, (colours | {idle: None}).values())
        tell.step(f"{idle} lets {source} go and becomes idle")
        return entry


def _endpoint(place: Place, source: str | None, model: str) -> str:
    """A name that the model of a source is asked by."""
    folder = folder_of(source or REPOSITORY, deployment=place.folder, repository=place.repository)
    home = home_of(folder, model)
    return model if home is None else home.name
