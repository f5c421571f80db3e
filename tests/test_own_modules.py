"""Tests of files of Python that the user wrote: imported, and what they raise in a line."""

import pytest

from research.own_modules import describe_raised, import_file


@pytest.fixture
def raised(tmp_path):
    """A function that says what a file of some code raises when it is imported."""

    def raised(code):
        file = tmp_path / f"own_{len(list(tmp_path.iterdir()))}.py"
        file.write_text(code)
        with pytest.raises(Exception) as info:  # noqa: PT011
            import_file(file)
        return describe_raised(info.value).replace(str(tmp_path), "")

    return raised


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("x = 1\n1 / 0", "ZeroDivisionError at /own_0.py:2: division by zero"),
        ("raise ValueError('a\\nb')", "ValueError at /own_0.py:1: a"),
        ("assert not 1", "AssertionError at /own_0.py:1: assert not 1"),
        ("raise KeyError", "KeyError at /own_0.py:1: raise KeyError"),
        (
            "import json\njson.loads('{')",
            "JSONDecodeError at /own_0.py:2: Expecting property name ",
        ),
        (
            "from gymnax.environments.environment import Environment\nEnvironment().num_actions",
            "NotImplementedError at /own_0.py:2: Environment().num_actions, in num_actions",
        ),
        ("def f(:", "SyntaxError: invalid syntax (own_0.py, line 1)"),
    ],
)
def test_what_the_code_of_a_user_raises_is_said_in_a_line(raised, code, says):
    assert raised(code).startswith(says)


def test_a_file_is_run_once_and_finds_its_neighbours(tmp_path):
    (tmp_path / "neighbour_of_own.py").write_text("value = [3]")
    (tmp_path / "main_of_own.py").write_text("from neighbour_of_own import value")
    first, second = (import_file(tmp_path / "main_of_own.py") for _ in range(2))
    assert first is second
    assert first.value == [3]
