"""Results as rows of Parquet: the fields of `regard predict`'s JSON as columns.

Every table has `image` (its key) and `error`, which is null where there is an answer. Of a classification
come label, probability, labels and top; of a segmentation area, and mask: the label map as a palette PNG, so
that an answer is whole in its row.
"""

import io
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.parquet as pq

from regard.contract.names import Task
from regard.contract.results import Classification, Segmentation
from regard.errors import RegardError

Result: TypeAlias = Classification | Segmentation | RegardError
COLUMNS: dict[Task, list[tuple[str, pa.DataType]]] = {
    "classification": [
        ("label", pa.string()),
        ("probability", pa.float64()),
        ("labels", pa.list_(pa.string())),
        ("top", pa.list_(pa.struct([("label", pa.string()), ("probability", pa.float64())]))),
    ],
    "segmentation": [("area", pa.map_(pa.string(), pa.float64())), ("mask", pa.binary())],
}
METADATA = "regard.batch"  # key of a file's metadata: what answered, as of batch.json


def row_of(image: str, result: Result) -> dict[str, Any]:
    """An image's row."""
    row: dict[str, Any] = {"image": image}
    if isinstance(result, Classification):
        top = [{"label": label, "probability": probability} for label, probability in result.top]
        row |= {"label": result.label, "probability": result.probability}
        row |= {"labels": list(result.labels), "top": top}
    elif isinstance(result, Segmentation):
        png = io.BytesIO()
        result.mask().save(png, "PNG")
        area = {label: fraction for label, fraction in result.area.items() if fraction}
        row |= {"area": list(area.items()), "mask": png.getvalue()}
    else:
        row["error"] = str(result)
    return row


def parquet_of(rows: list[dict[str, Any]], task: Task, described: str) -> bytes:
    """The rows as a Parquet file.

    described: what answered, for the file's metadata.
    """
    columns = [("image", pa.string()), *COLUMNS[task], ("error", pa.string())]
    schema = pa.schema([pa.field(name, kind, nullable=name != "image") for name, kind in columns])
    table = pa.Table.from_pylist(rows, schema.with_metadata({METADATA: described}))
    file = io.BytesIO()
    pq.write_table(table, file, compression="zstd")
    return file.getvalue()
