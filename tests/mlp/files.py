"""Functions that write tables to files, for tests that read them."""

import pyarrow as pa
import pyarrow.parquet as pq

ROWS = range(30)
UP, BITS = list(ROWS), [i % 2 for i in ROWS]
COLORS = [("red", "green", "blue")[i % 3] for i in ROWS]


def write(folder, text, name="table.csv", encoding="utf-8"):
    path = folder / name
    path.write_bytes(text.encode(encoding))
    return str(path)


def csv(folder, name="table.csv", **columns):
    """Writes a CSV file of these columns."""
    lines = [columns, *zip(*columns.values(), strict=True)]
    return write(folder, "".join(",".join(map(str, line)) + "\n" for line in lines), name)


def parquet(folder, **columns):
    """Writes a Parquet file without the metadata that pandas would add."""
    path = str(folder / "table.parquet")
    pq.write_table(pa.table(columns), path)
    return path
