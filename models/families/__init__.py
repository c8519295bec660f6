"""Networks of the catalog that say themselves what they take and answer, by family."""

from regard.models.catalog_entry import Network
from regard.models.families import glimpses, language, pose, video, vqa

ENTRIES: dict[str, Network] = {
    **glimpses.ENTRIES,
    **language.ENTRIES,
    **vqa.ENTRIES,
    **video.ENTRIES,
    **pose.ENTRIES,
}
