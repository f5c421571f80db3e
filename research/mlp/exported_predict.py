"""Predicts with a net that was exported to this folder; needs numpy and jax alone.

    python predict.py table.csv > predictions.csv
    python predict.py table.csv --id customer --unknown missing > predictions.csv

`--id` prints a column of the table before each prediction; `--unknown missing` takes categories
that training did not see for missing ones. jax reads programs with flatbuffers (`pip install jax
flatbuffers`).

The table has a header line with the columns that schema.json names, in any order; other columns are
ignored. Cells are read as those of the training table were: an empty cell is missing, and so are
the words that schema.json lists. If cells are invalid, each is named in a line of its own, nothing
is predicted and the exit status is 2. From Python:

    import predict
    probabilities = predict.predict(predict.read_csv("table.csv"))

predict.jaxexport is a compiled program: do not run one that you do not trust.
"""

import argparse
import csv
import datetime
import functools
import json
import os
import re
import sys
from pathlib import Path

import jax
import numpy as np

FOLDER = Path(__file__).resolve().parent
LARGEST = 1e30  # beyond, the square of a number overflows float32
MOST_LINES = 20  # of errors
UNKNOWN = "is no category that the net knows"
NUMBER = re.compile(r"[+-]?((\d+\.?\d*|\.\d+)(e[+-]?\d+)?|inf(inity)?)", re.ASCII | re.IGNORECASE)
THOUSANDS = re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d*)?", re.ASCII)
TRUTH = {"true": 1.0, "false": 0.0}
YEAR, MONTH, DAY = r"(?P<year>\d{4})", r"(?P<month>\d\d?)", r"(?P<day>\d\d?)"
DATES = {
    "year-month-day": rf"{YEAR}(?P<between>[-/.]){MONTH}(?P=between){DAY}",
    "day.month.year": rf"{DAY}\.{MONTH}\.{YEAR}",
    "day/month/year": rf"{DAY}(?P<between>[/-]){MONTH}(?P=between){YEAR}",
    "month/day/year": rf"{MONTH}(?P<between>[/-]){DAY}(?P=between){YEAR}",
    "day month year": rf"{DAY}[ -](?P<name>[a-z]{{3,9}})[ -]{YEAR}",
    "month day, year": rf"(?P<name>[a-z]{{3,9}}) {DAY},? {YEAR}",
    "year-month": rf"{YEAR}-(?P<month>\d\d)",
}  # the ways to write a date, each as a regular expression
TIME = (
    r"([ T]+(?P<hour>\d\d?):(?P<minute>\d\d)(:(?P<second>\d\d)(?P<fraction>\.\d+)?)?"
    r"( ?(?P<half>[ap]m))?( ?(?P<zone>Z|[+-]\d\d:?\d\d))?)?"
)
MONTHS = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september",
    "october", "november", "december",
)  # fmt: skip


class BadTable(ValueError):
    """A table that cannot be read.

    Attributes:
      problems: the errors, one line each.
    """

    def __init__(self, *problems):
        super().__init__("\n".join(problems))
        self.problems = problems


class BadCells(BadTable):
    """Cells that a net cannot predict from.

    Attributes:
      cells: a tuple (row, column, problem) for each; rows are counted from 0.
    """

    def __init__(self, cells):
        self.cells = sorted(cells)
        super().__init__(*self.lines(lambda row: f"row {row + 1}"))

    def lines(self, name_row):
        """One line for each cell; `name_row(row)` is the name of its row."""
        return [f"{name_row(row)}, column {column}: {says}" for row, column, says in self.cells]


def number(word, form=""):
    """The number that a word spells, infinite if it overflows a float; None if it is not a number.

    Python's `float` accepts more: 1_000, digits of other scripts, and nan.

    Args:
      word: the word, stripped.
      form: how numbers are written: "" in digits alone; `thousands`: 1,200 is 1200; `percent`:
        12.5% is 12.5; `truth`: True is 1 and False is 0; or one of `DATES`, which gives the
        seconds since 1970.
    """
    if form in DATES:
        return date(word, form)
    if form == "truth" and word.casefold() in TRUTH:
        return TRUTH[word.casefold()]
    if form == "percent":
        word = word[:-1].rstrip() if word.endswith("%") else ""
    if form == "thousands" and THOUSANDS.fullmatch(word):
        word = word.replace(",", "")
    return float(word) if NUMBER.fullmatch(word) else None


def date(word, form):
    """The seconds from the start of 1970 to a date, with a time or without; None if it is no date.

    A time with an offset, such as 12:30+02:00, is converted to UTC.

    Args:
      word: the word, stripped.
      form: one of `DATES`.
    """
    found = _date_pattern(form).fullmatch(word)
    if found is None:
        return None
    given = found.groupdict()
    month = given.get("month") or _month(given["name"])
    hour, minute, second = (int(given[name] or 0) for name in ("hour", "minute", "second"))
    if half := given["half"]:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + 12 * (half.casefold() == "pm")
    try:
        day = int(given.get("day") or 1)
        moment = datetime.datetime(int(given["year"]), int(month), day, hour, minute, second)
    except ValueError:
        return None
    seconds = (moment - datetime.datetime(1970, 1, 1)).total_seconds()
    return seconds + float(given["fraction"] or 0) - _offset(given["zone"] or "Z")


@functools.cache
def _date_pattern(form):
    return re.compile(DATES[form] + TIME, re.ASCII | re.IGNORECASE)


def _month(name):
    """The number of a month by its English name, or at least three letters of it; 0 if none."""
    fits = [number for number, month in enumerate(MONTHS, 1) if month.startswith(name.casefold())]
    return fits[0] if fits else 0


def _offset(zone):
    if zone in "Zz":
        return 0.0
    hours, minutes = int(zone[1:3]), int(zone[-2:])
    return (3600.0 * hours + 60.0 * minutes) * (-1 if zone[0] == "-" else 1)


def date_parts(seconds, origin):
    """The parts of dates, name -> [rows], NaN where a date is missing.

    Args:
      seconds: since the start of 1970, NaN where missing.
      origin: the day that `days` are counted from, in seconds since the start of 1970.
    """
    seconds = np.asarray(seconds, np.float64)
    known = ~np.isnan(seconds)
    whole = np.floor(np.where(known, seconds, 0) / 86_400)
    day = whole.astype(np.int64).astype("datetime64[D]")
    month, year = day.astype("datetime64[M]"), day.astype("datetime64[Y]")
    parts = {
        "days": (seconds - origin) / 86_400,
        "year": year.astype(np.int64) + 1970,
        "month": month.astype(np.int64) % 12 + 1,
        "day of month": (day - month).astype(np.int64) + 1,
        "day of week": (whole + 3) % 7 + 1,  # 1 is Monday
        "day of year": (day - year).astype(np.int64) + 1,
        "hour": (seconds - 86_400 * whole) / 3_600,
    }
    return {name: np.where(known, values, np.nan) for name, values in parts.items()}


def as_word(value):
    """A value of Python as the word that a table would hold: 1201.0 as 1201."""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        return str(int(value))
    return str(value)


def is_missing_word(rule, among_numbers):
    """A predicate of stripped words: whether a cell that holds the word is missing.

    Args:
      rule: the `words` of missing cells, whether they count in `any_case`, and the words that count
        only in columns of `numbers`.
      among_numbers: whether the column is one of numbers.
    """
    words = {"", *rule["words"], *(rule["numbers"] if among_numbers else ())}
    if rule["any_case"]:
        return lambda word: word.casefold() in words
    return words.__contains__


def clean_name(name):
    """The name of a column, stripped, with single spaces in place of line breaks."""
    return " ".join(name.split())


def read_lines(path):
    """The column names of a CSV or TSV file, its rows of words, and the line number of each row.

    Blank lines are skipped, and cells are stripped.

    Raises:
      BadTable: if it cannot be read, is empty, or a row is not as long as the header; or if its
        cells are separated by semicolons.
    """
    delimiter = "\t" if str(path).lower().endswith(".tsv") else ","
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file, delimiter=delimiter)
            lines = [(reader.line_num, [cell.strip() for cell in line]) for line in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BadTable(f"{path} cannot be read as CSV: {error}") from error
    lines = [(number, line) for number, line in lines if any(line)]
    if len(lines) < 2:
        raise BadTable(f"{path} is empty: a header line and rows are needed")
    names, rows = [clean_name(name) for name in lines[0][1]], lines[1:]
    ragged = [
        f"{path}, line {number}: {len(row)} cells under {len(names)} columns"
        for number, row in rows
        if len(row) != len(names)
    ]
    if len(names) == 1 and ";" in names[0]:
        raise BadTable(
            f"{path}: its header has one name, with semicolons; cells are separated by commas, or "
            "in a .tsv file by tabs, and decimals by points: convert it, such as by "
            "pandas.read_csv(FILE, sep=';', decimal=',').to_csv(...)"
        )
    if ragged:
        raise BadTable(*ragged)
    return names, [row for _, row in rows], [number for number, _ in rows]


@functools.cache
def schema():
    """The content of schema.json, which lies beside this file."""
    return json.loads((FOLDER / "schema.json").read_text(encoding="utf-8"))


def read_csv(path):
    """The cells of a CSV file, column -> list of words.

    Raises:
      BadTable: if it cannot be read, or two columns have the same name and the net reads it.
    """
    return _read(path)[0]


def encode(table, unknown=None):
    """The features that the net reads, [rows, features], from column -> values.

    Args:
      table: column -> values: words, as `read_csv` returns them, numbers or dates; None and NaN
        are missing.
      unknown: what becomes of categories that the net does not know: `missing`, `error`; None: an
        error, but where rare categories were merged in training.

    Raises:
      BadTable: if a column is missing or of another length.
      BadCells: for cells that are no numbers or dates in columns of these, and for unknown
        categories.
    """
    return np.concatenate(_encode_columns(_select(table), unknown), axis=1)


def predict(table, unknown=None):
    """Probabilities [rows, classes]; for regression [rows, 1], in the unit of the target.

    Raises:
      BadTable: as `encode`, and for rows whose prediction would not be finite.
    """
    table = _select(table)
    parts = _encode_columns(table, unknown)
    x = np.concatenate(parts, axis=1)
    program = jax.export.deserialize(bytearray((FOLDER / "predict.jaxexport").read_bytes()))
    outputs = np.asarray(program.call(x))
    finite = np.isfinite(x).all(axis=1) & np.isfinite(outputs).all(axis=1)
    if not finite.all():
        rows = np.flatnonzero(~finite).tolist()
        raise BadCells([(row, *_furthest(table, parts, row)) for row in rows])
    return outputs


def _read(path):
    """The cells of a table by column, and the line number of each row."""
    names, rows, lines = read_lines(path)
    wanted = {column["name"] for column in schema()["columns"] or ()}
    if twice := sorted({name for name in wanted if names.count(name) > 1}):
        raise BadTable(f"{path} has several columns named {twice[0]!r}: rename all but one")
    cells = map(list, zip(*rows, strict=True))
    return dict(zip(names, cells, strict=True)), lines


def _select(table):
    """The columns that the net reads, in its order."""
    table = {clean_name(str(name)): list(values) for name, values in table.items()}
    pixels, columns = schema()["pixels"], schema()["columns"]
    if columns is None and len(table) != pixels:
        raise BadTable(f"the table has {len(table)} columns; the net reads {pixels} pixels")
    names = list(table) if columns is None else [column["name"] for column in columns]
    if lacking := [name for name in names if name not in table]:
        raise BadTable(f"the table has no column {', '.join(lacking)}")
    if len(lengths := {len(table[name]) for name in names}) > 1:
        raise BadTable("the columns of the table have different lengths")
    if lengths == {0}:
        raise BadTable("the table has no rows")
    return {name: table[name] for name in names}


def _encode_columns(table, unknown):
    """The features of each column, a list of arrays [rows, features of the column]."""
    columns = schema()["columns"] or [{"name": name, "kind": "pixel"} for name in table]
    if unknown is not None:
        columns = [{**column, "unknown": unknown} for column in columns]
    bad = []
    parts = [_ENCODERS[one["kind"]](table[one["name"]], one, bad) for one in columns]
    if bad:
        raise BadCells(bad)
    return parts


def _encode_numbers(values, column, bad):
    values, missing = _words_and_gaps(values, among_numbers=True)
    numbers = np.full(len(values), column["fill"], np.float64)
    for row in np.flatnonzero(~missing):
        found = _as_number(values[row], column.get("form", ""))
        if found is None:
            bad.append((int(row), column["name"], f"{values[row]!r} is not a number"))
        elif not abs(found) <= LARGEST:
            bad.append((int(row), column["name"], f"{values[row]!r} is above {LARGEST:g}"))
        else:
            numbers[row] = found
    parts = [numbers, missing] if column["indicator"] else [numbers]
    with np.errstate(over="ignore"):
        scores = (np.array(parts, np.float64).T - column["mean"]) / column["scale"]
        return scores.astype(np.float32)


def _encode_dates(values, column, bad):
    values, missing = _words_and_gaps(values, among_numbers=True)
    seconds = np.full(len(values), np.nan)
    for row in np.flatnonzero(~missing):
        if (found := _as_date(values[row], column["form"])) is None:
            says = f"{values[row]!r} is not a date, {column['form']}"
            bad.append((int(row), column["name"], says))
        else:
            seconds[row] = found
    parts = date_parts(seconds, column["origin"])
    parts = np.stack([parts[name] for name in column["parts"]], axis=1)
    parts = np.where(missing[:, None], np.array(column["fill"], np.float64), parts)
    if column["indicator"]:
        parts = np.concatenate([parts, missing[:, None]], axis=1)
    return ((parts - column["mean"]) / column["scale"]).astype(np.float32)


def _as_date(value, form):
    if isinstance(value, str):
        return date(value, form)
    try:
        return (np.datetime64(value, "us") - np.datetime64(0, "us")) / np.timedelta64(1, "s")
    except (TypeError, ValueError):
        return None


def _encode_words(values, column, bad):
    values, missing = _words_and_gaps(values, among_numbers=False)
    words = [
        schema()["none"] if gone else as_word(value)
        for value, gone in zip(values, missing, strict=True)
    ]
    places = {word: place for place, word in enumerate(column["categories"])}
    features = len(places) + bool(column["other"])  # the last one is that of rare words
    one_hot = np.zeros((len(words), features), np.float32)
    for row, word in enumerate(words):
        place = places[word] if word in places else _place_of_other(word, column, places)
        if place == "error":
            bad.append((row, column["name"], f"{word!r} {UNKNOWN}"))
        elif place is not None:
            one_hot[row, place] = 1
    return one_hot


def _place_of_other(word, column, places):
    """The feature of a rare or an unknown word, None if it has none, or "error"."""
    rare, unknown = len(places) if column["other"] else None, column["unknown"]
    if word in column["other"]:
        return rare
    if unknown == "missing":
        return places.get(schema()["none"], rare)
    if unknown == "error" or (rare is None and not unknown):
        return "error"
    return rare


def _encode_pixels(values, column, bad):
    pixels = np.zeros((len(values), 1), np.uint8)
    for row, value in enumerate(values):
        found = _as_number(value, "")
        if found is None or not (0 <= found <= 255 and found == int(found)):
            bad.append((row, column["name"], f"{value!r} is no whole number from 0 to 255"))
        else:
            pixels[row] = int(found)
    return pixels


_ENCODERS = {
    "number": _encode_numbers,
    "date": _encode_dates,
    "category": _encode_words,
    "pixel": _encode_pixels,
}


def _words_and_gaps(values, among_numbers):
    """The values, words stripped, and a mask of the missing ones."""
    is_missing = is_missing_word(schema()["missing"], among_numbers)
    values = [value.strip() if isinstance(value, str) else value for value in values]
    gone = [is_missing(v) if isinstance(v, str) else _is_gap(v) for v in values]
    return values, np.array(gone, bool)


def _is_gap(value):
    try:
        return value is None or bool(value != value)
    except TypeError:  # pandas' NA is neither equal nor unequal to itself
        return True


def _as_number(value, form):
    if isinstance(value, str):
        return number(value, form)
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def _furthest(table, parts, row):
    """The column whose cell is furthest from the training rows, and the error about it."""
    distances = [np.abs(part[row]).max() for part in parts]
    name = list(table)[int(np.argmax(distances))]
    value = table[name][row]
    return name, f"{value!r} is too far from those of the training rows to predict from"


def _visible(text):
    """Text with escapes for what a terminal would obey, or not show."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in text
    )


def _main(argv):
    given = _parser().parse_args(argv)
    lines, ids = [], None
    try:
        table, lines = _read(given.table)
        if given.id is not None and (ids := table.get(clean_name(given.id))) is None:
            have = ", ".join(table)
            raise BadTable(f"--id {given.id}: no such column in {given.table}; it has {have}")
        predictions = predict(table, given.unknown)
    except BadTable as bad:
        problems = bad.problems
        if isinstance(bad, BadCells):
            who = lambda row: f" ({given.id} {ids[row]})" if ids else ""
            problems = bad.lines(lambda row: f"{given.table}, line {lines[row]}{who(row)}")
        for problem in problems[:MOST_LINES]:
            print(f"error: {_visible(problem)}", file=sys.stderr)
        if len(problems) > MOST_LINES:
            print(f"error: and {len(problems) - MOST_LINES} more", file=sys.stderr)
        if any(problem.endswith(UNKNOWN) for problem in problems):
            print("error: --unknown missing takes such categories for missing", file=sys.stderr)
        raise SystemExit(2) from None
    names, out = schema()["classes"], csv.writer(sys.stdout, lineterminator="\n")
    target = schema()["target"] or "predicted"
    first = [given.id] if ids else []
    out.writerow([*first, target, *(f"probability of {name}" for name in names)])
    for place, row in enumerate(predictions):
        first = [ids[place]] if ids else []
        out.writerow([*first, *([names[row.argmax()], *row] if names else row)])


def _parser():
    parser = argparse.ArgumentParser(
        "predict.py", description="Predicts a CSV table; the predictions are printed as CSV."
    )
    parser.add_argument("table", metavar="table.csv", help="a header line and rows")
    parser.add_argument(
        "--id", metavar="COLUMN", help="a column to print before each prediction, such as an id"
    )
    parser.add_argument(
        "--unknown",
        choices=("missing", "error"),
        help="what becomes of categories that training did not see: they count as missing, or are "
        "an error; if not given, an error unless rare categories were merged (--min-category)",
    )
    return parser


if __name__ == "__main__":
    try:
        _main(sys.argv[1:])
        sys.stdout.flush()
    except BrokenPipeError:  # the reader, such as `head`, has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(1) from None
