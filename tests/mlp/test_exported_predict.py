"""Tests of the exported script: it reads cells as training does and names those it cannot use."""

import json
import runpy
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

from research.mlp import Config
from research.mlp.cells import MISSING_IN_TEXT
from research.mlp.data import load
from research.mlp.export import SCRIPT, make_schema, raw_rows
from research.mlp.exported_predict import date_parts, number

ROWS = range(40)
BITS = [i % 2 for i in ROWS]
MOMENTS = pd.to_datetime(["2020-02-29 18:30", "1969-12-31 00:15", None, "2023-01-01 00:00"])
PARTS = ("train", "validation", "test")


def load_script(folder, schema, predict=None):
    """Loads the script from a folder that has a schema and a program."""
    shutil.copyfile(SCRIPT, folder / "predict.py")
    (folder / "schema.json").write_text(json.dumps(schema))
    if predict:
        rows = jax.ShapeDtypeStruct((*jax.export.symbolic_shape("n"), 1), jnp.float32)
        program = jax.export.export(jax.jit(predict))(rows)
        (folder / "predict.jaxexport").write_bytes(program.serialize())
    return runpy.run_path(str(folder / "predict.py"))


def schema(*columns, **more):
    more = {"missing": MISSING_IN_TEXT, "none": "(missing)", "pixels": None, "classes": []} | more
    return {"columns": list(columns), "target": "y", **more}


def numbers(name="a", fill=7.0, **more):
    fact = {"kind": "number", "fill": fill, "indicator": False, "mean": [0.0], "scale": [1.0]}
    return {"name": name, **fact, **more}


def words(name="w", *categories, unknown=False):
    categories = list(categories)
    return {"name": name, "kind": "category", "categories": categories, "other": [],
            "unknown": unknown}  # fmt: skip


@pytest.mark.parametrize(
    ("word", "value"),
    [("1", 1), ("-2.5e3", -2500), ("+.5", 0.5), ("5.", 5), ("1E-2", 0.01), ("1e999", np.inf),
     ("-Infinity", -np.inf), ("inf", np.inf), ("1_000", None), ("\uff11", None), ("\u0663", None),
     ("nan", None), ("0x1f", None), ("1,5", None), ("", None), (" 1", None), ("1\n", None),
     ("True", None), ("e5", None), (".", None)],
)  # fmt: skip
def test_numbers_are_parsed_from_digits_point_and_exponent_only(word, value):
    assert number(word) == value


def test_true_and_false_are_numbers_only_in_boolean_columns():
    assert [number(word, "truth") for word in ("True", "FALSE", "1", "yes")] == [1, 0, 1, None]


@pytest.mark.parametrize(
    ("word", "form", "value"),
    [
        ("1,200", "thousands", 1200), ("1200", "thousands", 1200), ("1,20", "thousands", None),
        ("12.5 %", "percent", 12.5), ("12.5", "percent", None), ("%", "percent", None),
        ("1970-01-02", "year-month-day", 86_400), ("1970/1/2", "year-month-day", 86_400),
        ("1970-01-01T01:02:03.5Z", "year-month-day", 3723.5),
        ("1970-01-01 01:00+01:00", "year-month-day", 0), ("1970-01", "year-month", 0),
        ("1970-01/02", "year-month-day", None), ("1970-02-29", "year-month-day", None),
        ("2/1/1970", "day/month/year", 86_400), ("1/2/1970", "month/day/year", 86_400),
        ("13/13/1970", "day/month/year", None), ("1970-01-01 24:00", "year-month-day", None),
        ("1/1/1970 12:30 AM", "month/day/year", 1800),
        ("1/1/1970 13:00 pm", "month/day/year", None),
        ("2-Sept-1970", "day month year", 244 * 86_400), ("2 Foo 1970", "day month year", None),
        ("January 2, 1970", "month day, year", 86_400), ("\u0661970-01-02", "year-month-day", None),
    ],
)  # fmt: skip
def test_numbers_and_dates_are_read_in_one_form(word, form, value):
    assert number(word, form) == value


def test_parts_of_dates_are_those_of_the_calendar():
    moments = pd.Series([*MOMENTS])
    seconds = (moments - pd.Timestamp(0)) / pd.Timedelta(seconds=1)
    parts, of = date_parts(seconds, 0.0), moments.dt
    expected = {
        "days": seconds / 86_400, "year": of.year, "month": of.month, "day of month": of.day,
        "day of week": of.day_of_week + 1, "day of year": of.day_of_year,
        "hour": of.hour + of.minute / 60,
    }  # fmt: skip
    assert list(parts) == list(expected)
    for name, values in expected.items():
        np.testing.assert_array_equal(parts[name], values, err_msg=name)


@pytest.mark.parametrize(
    "values",
    [
        [*MOMENTS] * 2,
        ["1 Feb 2020", "13 February 2020", "1 Feb 2020", ""] * 2,
        ["1,200", "900", "-1,000.5", None, "2", "3", "4", "1,200"],
        ["5%", "6 %", None, "0.5%"] * 2,
        ["red", "green", "none", "-", "red", "NA", "x y", "None"],
        ["red", "green", None, "", " red ", "red", "green", "-"],
        [True, False, True, True, None, False, True, False],
        [True, False, True, True, False, False, True, False],
        [1.5, None, 3, 1e10, 0, 2, 2, 2],
        [1, 2, 3, 4, 5, 6, 7, 8],
        ["1", "x", "2", "y", "-", "?", "nan", "n/a"],
    ],
)
@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.parametrize("missing", [(), ("x", "none")])
def test_the_script_encodes_raw_rows_as_training_did(tmp_path, kind, values, missing):
    """The rows hold any words, and some rows in between have no target."""
    frame = pd.DataFrame({"a": values * 8, "b": range(64), "y": (["k", "l", "m", None]) * 16})
    path = tmp_path / f"table.{kind}"
    frame.to_csv(path, index=False) if kind == "csv" else frame.to_parquet(path)
    config = Config(data=str(path), target="y", missing=missing, min_category=2)
    dataset, facts = load(config.choice)
    script = load_script(tmp_path, make_schema(config, facts))
    for part in PARTS:
        x = script["encode"](raw_rows(config.choice, part, script["read_csv"]))
        np.testing.assert_allclose(x, getattr(dataset, part).x, rtol=1e-6, atol=1e-6)


def test_python_values_are_encoded_like_cells_of_a_file(tmp_path):
    script = load_script(tmp_path, schema(numbers(), words("w", "(missing)", "1", "x")))
    given = {"a": [1, np.float32(2), None, np.nan, pd.NA, "-", " 3 "],
             "w": ["x", 1, None, np.nan, pd.NA, "?", "(missing)"]}  # fmt: skip
    x = script["encode"](given)
    assert x[:, 0].tolist() == [1, 2, 7, 7, 7, 7, 3]
    assert x[:, 1:].argmax(axis=1).tolist() == [2, 1, 0, 0, 0, 0, 0]


def test_values_of_python_are_dates_and_categories(tmp_path):
    dates = {
        "kind": "date", "form": "year-month-day", "origin": 0.0, "parts": ["days", "year"],
        "fill": [9.0, 8.0], "indicator": True, "mean": [0, 0, 0], "scale": [1, 1, 1],
    }  # fmt: skip
    script = load_script(tmp_path, schema({"name": "d", **dates}, words("zip", "7", "8")))
    days = ["1970-01-02", pd.Timestamp("1970-01-02"), np.datetime64("1970-01-02"), None]
    x = script["encode"]({"d": days, "zip": [7, 8.0, "7", np.float32(8)]})
    assert x[:, :3].tolist() == [[1, 1970, 0]] * 3 + [[9, 8, 1]]
    assert x[:, 3:].argmax(axis=1).tolist() == [0, 1, 0, 1]
    with pytest.raises(ValueError, match=r"row 1, column d: '2\.1\.1970' is not a date, year-mo"):
        script["encode"]({"d": ["2.1.1970", 5], "zip": ["7", "7"]})


def refusal(script, folder, capsys, text, *flags):
    """The error lines of the script about a file, after checking that there is no traceback."""
    (folder / "table.csv").write_text(text)
    with pytest.raises(SystemExit) as exit_info:
        script["_main"]([str(folder / "table.csv"), *flags])
    assert exit_info.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    lines = err.splitlines()
    assert all(line.startswith("error: ") for line in lines)
    return [line.removeprefix("error: ").replace(f"{folder}/", "") for line in lines]


def test_every_bad_cell_is_reported_with_row_column_and_value(tmp_path, capsys):
    script = load_script(tmp_path, schema(numbers(), words("w", "x")))
    text = "w,more,a\nx,,1\n\ny,?,inf\nx,,1e300\nx,,1_000\n x , , 5 \n-,,six\n"
    assert refusal(script, tmp_path, capsys, text) == [
        "table.csv, line 4, column a: 'inf' is above 1e+30",
        "table.csv, line 4, column w: 'y' is no category that the net knows",
        "table.csv, line 5, column a: '1e300' is above 1e+30",
        "table.csv, line 6, column a: '1_000' is not a number",
        "table.csv, line 8, column a: 'six' is not a number",
        "table.csv, line 8, column w: '-' is no category that the net knows",
        "--unknown missing takes such categories for missing",
    ]
    with pytest.raises(ValueError, match="row 2, column a: inf is above") as raised:
        script["encode"]({"a": [1, np.inf, "x"], "w": ["x"] * 3})
    assert raised.value.problems[1] == "row 3, column a: 'x' is not a number"


def test_a_bad_row_is_named_by_its_id(tmp_path, capsys):
    script = load_script(tmp_path, schema(numbers()))
    given = (script, tmp_path, capsys, "a,who\n1,ann\n\nx,bob\n")
    (line,) = refusal(*given, "--id", "who")
    assert line == "table.csv, line 4 (who bob), column a: 'x' is not a number"
    (line,) = refusal(*given, "--id", "name")
    assert line == "--id name: no such column in table.csv; it has a, who"


def test_ids_are_printed_before_the_predictions(tmp_path, capsys):
    script = load_script(tmp_path, schema(numbers()), lambda x: 2 * x)
    (tmp_path / "table.csv").write_text("a,who\n1,ann\n3,bob\n")
    script["_main"]([str(tmp_path / "table.csv"), "--id", "who"])
    assert capsys.readouterr().out == "who,y\nann,2.0\nbob,6.0\n"


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (words("w", "(missing)", "x"), {None: "error", "error": "error", "missing": [1, 0]}),
        (words("w", "x"), {None: "error", "error": "error", "missing": [0]}),
        (words("w", "x", unknown=True), {None: [0], "error": "error", "missing": [0]}),
        (words("w", "x", unknown=True) | {"other": ["r"]},
         {None: [0, 1], "error": "error", "missing": [0, 1]}),
        (words("w", "(missing)", unknown=True) | {"other": ["r"]},
         {None: [0, 1], "error": "error", "missing": [1, 0]}),
    ],
)  # fmt: skip
def test_unknown_categories_are_an_error_or_missing(tmp_path, column, expected):
    script = load_script(tmp_path, schema(column))
    for unknown, x in expected.items():
        if x == "error":
            with pytest.raises(ValueError, match="row 1, column w: 'y' is no category"):
                script["encode"]({"w": ["y"]}, unknown)
        else:
            assert script["encode"]({"w": ["y"]}, unknown).tolist() == [x]
        if column["other"]:
            assert script["encode"]({"w": ["r"]}, unknown).tolist() == [[0, 1]]


def test_only_the_first_of_many_bad_cells_are_named(tmp_path, capsys):
    script = load_script(tmp_path, schema(numbers()))
    lines = refusal(script, tmp_path, capsys, "a\n" + "x\n" * 25)
    assert lines[19:] == ["table.csv, line 21, column a: 'x' is not a number", "and 5 more"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "table.csv is empty: a header line and rows are needed"),
        ("a,w\n", "table.csv is empty: a header line and rows are needed"),
        ("a,w\n1\n", "table.csv, line 2: 1 cells under 2 columns"),
        ("a,b,c\n1,2,3\n", "the table has no column w"),
        ("b,c\n1,2\n", "the table has no column a, w"),
        ("a,w,a\n1,x,2\n", "table.csv has several columns named 'a': rename all but one"),
        ("a,w\n1," + "x" * 200_000, "table.csv cannot be read as CSV: field larger than field"),
    ],
)
def test_an_unreadable_table_gives_one_line(tmp_path, capsys, text, says):
    script = load_script(tmp_path, schema(numbers(), words("w", "x")))
    (line,) = refusal(script, tmp_path, capsys, text)
    assert line.startswith(says)


def test_names_of_columns_are_printed_as_text(tmp_path, capsys):
    script = load_script(tmp_path, schema(numbers("a\x1b]0;x\x07\u202e")))
    (line,) = refusal(script, tmp_path, capsys, "b\n1\n")
    assert line == r"the table has no column a\x1b]0;x\x07\u202e"


def test_columns_that_the_net_does_not_read_are_ignored(tmp_path):
    script = load_script(tmp_path, schema(numbers("two words")))
    (tmp_path / "table.csv").write_text(",two  words,,b\nx,1,y,inf\nx,2,y,\n")
    assert script["encode"](script["read_csv"](tmp_path / "table.csv")).tolist() == [[1], [2]]


def test_a_prediction_that_is_not_finite_names_the_cell(tmp_path):
    """The cell is a valid number, but far from those of the training rows."""
    far = schema(numbers(scale=[1e-20]))
    script = load_script(tmp_path, far, lambda x: jnp.exp(x) / (1 + jnp.exp(x)))
    assert np.isfinite(script["predict"]({"a": [0, 1e-20]})).all()
    with pytest.raises(ValueError, match=r"^row 2, column a: 5.0 is too far from those of the tr"):
        script["predict"]({"a": [0, 5.0]})
    with pytest.raises(ValueError, match=r"^row 1, column a: '1e25' is too far from"):
        script["predict"]({"a": ["1e25"]})


def test_images_are_read_as_bytes_in_column_order(tmp_path):
    script = load_script(tmp_path, {**schema(pixels=2), "columns": None})
    x = script["encode"]({"p1": ["0", "255"], "p0": [7, 8.0]})
    assert (x.tolist(), x.dtype) == ([[0, 7], [255, 8]], np.uint8)
    for bad in ("256", "-1", "0.5", "x", "", "inf"):
        with pytest.raises(ValueError, match=f"row 1, column p: '{bad}' is no whole number from 0"):
            script["encode"]({"p": [bad], "q": [0]})
    with pytest.raises(ValueError, match="the table has 1 columns; the net reads 2 pixels"):
        script["encode"]({"p": [1]})
