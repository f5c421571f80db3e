"""Tests of printing, and that all printing goes through the console module."""

import ast
import io
from pathlib import Path

import pytest
from rich.console import Console

from research import console
from research.console import print_line, print_paragraph, print_table, print_text, say, waiting

ROOT = Path(__file__).parents[1]
NAMES = ["[/b]", "[red]x", ":smile:", "$", "a\x1b[31mb", "{x}", "[link=http://a]b"]


def printed(function, *args, encoding="utf-8", **given):
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding)  # strict, as PYTHONIOENCODING=ascii makes it
    function(Console(file=file, width=100, force_terminal=True), *args, **given)
    file.flush()
    return raw.getvalue().decode(encoding)


@pytest.mark.parametrize("name", NAMES)
def test_names_are_printed_literally(name):
    expected = name.replace("\x1b", r"\x1b")
    table = printed(print_table, [name], [[name]], title=name)
    assert table.count(expected) == 3
    assert "\x1b[31m" not in table
    assert expected in printed(say, name)
    assert expected in printed(print_paragraph, name)


def test_an_ascii_terminal_gets_escapes_in_aligned_columns():
    text = printed(print_table, ["é", "n"], [["中", "1"], ["ab", "2"]], title="→", encoding="ascii")
    lines = text.splitlines()
    first, second = (next(line for line in lines if one in line) for one in (r"\u4e2d", "ab"))
    assert first.index("|1|") == second.index("|2|")
    assert r"\u2192" in text
    assert printed(print_paragraph, "naïve", encoding="ascii") == "na\\xefve\n"


def test_titles_are_as_wide_as_the_terminal_and_no_cell_is_cut():
    """Neither is bound to the width of the table."""
    title, cell = "a title that is wider than its table", "word " * 30
    assert title in printed(print_table, ["n"], [["1"]], title=title)
    assert printed(print_table, ["n", "long"], [["0.01", cell]]).count("word") == 30
    assert "0.01" in printed(print_table, ["n", "long"], [["0.01", cell]])


def test_cells_are_one_line_and_headings_may_be_two():
    lines = printed(print_table, ["a\nb"], [["c\nd"]]).splitlines()
    assert not any("ab" in line or r"a\nb" in line for line in lines)
    assert any(r"c\nd" in line for line in lines)


def test_wide_characters_take_two_columns():
    assert console.width("中文\nabc") == 4


def test_text_is_printed_unchanged(capsys):
    print_text("a[b]\x1b\n", end="")
    print_text("c", error=True)
    assert capsys.readouterr() == ("a[b]\\x1b\n", "c\n")


def test_a_newline_in_a_name_begins_no_line(capsys):
    name = "a\nerror: b"
    print_line(name)
    print_line(name, error=True)
    assert capsys.readouterr() == ("a\\nerror: b\n",) * 2
    assert printed(say, name) == "a\\nerror: b\n"
    assert printed(print_paragraph, f"\n{name}\n") == "\na\\nerror: b\n\n"
    assert "\n error: b" not in printed(print_table, ["n"], [[name]], title=name)


@pytest.mark.parametrize("name", NAMES)
def test_the_text_beside_a_spinner_is_literal(name):
    def wait(console):
        with waiting(console, name) as tell:
            tell(f"still {name}")

    shown = printed(wait)
    assert f"still {name}".replace("\x1b", r"\x1b") in shown
    assert "\x1b[31m" not in shown


PLACES = {"research/console.py", "research/figures.py", "research/streams.py"}
ALONE = {"research/mlp/exported_predict.py"}  # is copied to where this package is not
PRINTING = {"print", "pprint"}
METHODS = {
    "set_title", "suptitle", "legend", "set_xlabel", "set_ylabel", "set_xticks", "set_yticks",
    "set_xticklabels", "set_yticklabels", "set_ticks", "set_ticklabels", "annotate", "text",
    "title", "xlabel", "ylabel", "xticks", "yticks", "figtext", "set_label", "supxlabel",
    "supylabel", "bar_label", "add_column", "add_row",
}  # fmt: skip
RICH = {"rich", "rich.table", "rich.markup", "rich.panel", "rich.columns"}
OF_CONSOLES = {"print", "out", "log", "rule", "print_json", "status"}
DRAWING = {"plot", "fill_between", "errorbar", "scatter", "bar", "hist"}
OWNERS = {"figures", "jnp", "np"}  # modules with functions of these names


def bypasses(source):
    """Calls that print directly: (line, name)."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module in RICH:
            yield node.lineno, f"from {node.module}"
        if isinstance(node, ast.Call) and is_bypass(node):
            yield node.lineno, ast.unparse(node.func)


def is_bypass(call):
    owner, _, name = ast.unparse(call.func).rpartition(".")
    words = {word.arg: ast.unparse(word.value) for word in call.keywords}
    if name == "TextColumn":
        return words.get("markup") != "False"
    if name == "write":
        return owner in ("sys.stdout", "sys.stderr")
    if name in OF_CONSOLES and "console" in owner.lower():
        return True
    if name in DRAWING:
        return "label" in words
    return name in (METHODS if owner else PRINTING) and owner not in OWNERS


@pytest.mark.parametrize(
    "source",
    [
        "print(x)", "console.print(x)", "Console().out(x)", "from rich.table import Table",
        "sys.stdout.write(x)", "console.status(x)",
        "axes.set_title(x)", "axes.legend()", "axes.plot(x, label=y)", "axes.text(0, 0, x)",
        "TextColumn('{task.description}')", "table.add_row(x)", "plt.title(x)",
    ],
)  # fmt: skip
def test_direct_printing_is_detected(source):
    assert list(bypasses(source))


def test_all_printing_goes_through_the_console_module():
    files = [path for part in ("research", "experiments") for path in (ROOT / part).rglob("*.py")]
    found = [
        f"{name}:{line}: {what}"
        for name, path in sorted((path.relative_to(ROOT).as_posix(), path) for path in files)
        if name not in PLACES | ALONE
        for line, what in bypasses(path.read_text("utf-8"))
    ]
    assert len(files) > 100
    assert not found, "use research.console or research.figures: " + "; ".join(found)
