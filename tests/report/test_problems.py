"""Tests of the problems that settings are of: environments, data sets, texts."""

import pytest

from research.report.problems import problem_titles


@pytest.mark.parametrize(
    ("names", "titles"),
    [
        (["dqn CartPole-v1 gymnax"], [""]),
        (["dqn CartPole-v1 gymnax", "dqn Catch-bsuite gymnax"], ["CartPole-v1", "Catch-bsuite"]),
        (["/a/b/wine.csv", "/a/b/iris.csv"], ["wine.csv", "iris.csv"]),
        (["/a/b/t.csv", "/a/c/t.csv"], ["b/t.csv", "c/t.csv"]),
        (["easy", "easy hard"], ["easy", "easy hard"]),  # nothing would be left of the first
        (["a b", "b a"], ["a b", "b a"]),
        ([], []),
    ],
)
def test_the_title_of_a_problem_is_what_the_others_have_not(names, titles):
    assert problem_titles(names) == titles
