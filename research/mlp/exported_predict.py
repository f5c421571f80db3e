"""Predicts with a net that was exported here; needs numpy and jax, not the package that made it.

    python predict.py table.csv > predictions.csv

jax reads programs with flatbuffers (`pip install jax flatbuffers`).

The table has a header line with the columns that schema.json names, in any order; others are not
read. An empty cell is missing. From Python:

    import predict
    probabilities = predict.predict(predict.read_csv("table.csv"))

predict.jaxexport is a compiled program: run none that you do not trust.
"""

import csv
import json
import sys
from pathlib import Path

import jax
import numpy as np

FOLDER = Path(__file__).resolve().parent
SCHEMA = json.loads((FOLDER / "schema.json").read_text(encoding="utf-8"))
MISSING = set(SCHEMA["missing"])


def read_csv(path):
    """The cells of a table, column -> list of words."""
    delimiter = "\t" if str(path).lower().endswith(".tsv") else ","
    with open(path, newline="", encoding="utf-8-sig") as file:
        header, *rows = [row for row in csv.reader(file, delimiter=delimiter) if any(row)]
    return {name.strip(): [row[place].strip() for row in rows] for place, name in enumerate(header)}


def encode(table):
    """The features that the net reads, [rows, features], from column -> values."""
    if SCHEMA["columns"] is None:  # pictures: one column a pixel, in the order of the table
        return np.stack([np.asarray(values, np.uint8) for values in table.values()], axis=1)
    columns = SCHEMA["columns"]
    if lacking := [column["name"] for column in columns if column["name"] not in table]:
        raise SystemExit(f"error: the table has no column {lacking[0]}")
    features = [_encode_column(table[column["name"]], column) for column in columns]
    return np.concatenate(features, axis=1).astype(np.float32)


def predict(table):
    """Probabilities [rows, classes]; or numbers [rows, 1], in the unit of the target."""
    program = jax.export.deserialize(bytearray((FOLDER / "predict.jaxexport").read_bytes()))
    return np.asarray(program.call(encode(table)))


def _encode_column(values, column):
    missing = np.array([_is_missing(value) for value in values])
    if column["kind"] == "number":
        numbers = [column["fill"] if gone else float(v) for v, gone in zip(values, missing)]
        parts = [numbers, missing] if column["indicator"] else [numbers]
        return (np.array(parts, np.float64).T - column["mean"]) / column["scale"]
    words = [SCHEMA["none"] if gone else str(v) for v, gone in zip(values, missing)]
    places = {word: place for place, word in enumerate(column["categories"])}
    other = len(places)  # where rare and unknown words are one feature
    one_hot = np.zeros((len(words), other + bool(column["other"])))
    for row, word in enumerate(words):
        if word in places or column["other"]:
            one_hot[row, places.get(word, other)] = 1
        elif not column["unknown"]:
            raise SystemExit(f"error: column {column['name']}: the net knows no {word!r}")
    return one_hot


def _is_missing(value):
    return value is None or value != value or str(value).casefold() in MISSING


if __name__ == "__main__":
    if len(sys.argv) != 2 or not Path(sys.argv[1]).is_file():
        raise SystemExit("usage: python predict.py table.csv")
    predictions, out = predict(read_csv(sys.argv[1])), csv.writer(sys.stdout)
    names = SCHEMA["classes"]
    out.writerow([SCHEMA["target"] or "predicted", *(f"probability of {name}" for name in names)])
    for row in predictions:
        out.writerow([names[row.argmax()], *row] if names else row)
