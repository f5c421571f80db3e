"""Tests of sine: the contract of a workload under the engine, and that it learns."""

import pytest

from tests import contract


@pytest.fixture
def case(load_script):
    """The smallest task of its kind, with two values of a hyper-parameter."""
    sine = load_script("sine.py")
    problem = sine.make_problem(sine.Config(hidden=8, batch_size=8))
    return contract.Case(problem, sine.HParams(), {"learning_rate": [0.01, 0.03]})


def test_a_run_is_the_same_alone_and_among_others(case):
    contract.check_a_lane_is_a_lone_run(case, steps=20, atol=1e-4)
    contract.check_place_changes_no_bit(case, steps=20)


def test_a_run_is_the_same_in_chunks_of_any_length_and_when_resumed(case, tmp_path):
    contract.check_chunk_length_changes_no_bit(case, steps=10, lengths=(3,))
    contract.check_resumes_bit_for_bit(case, tmp_path)


def test_seeds_and_hyper_parameters_matter(case):
    contract.check_seeds_differ_and_repeat(case, steps=5)
    contract.check_every_hparam_changes_the_outcome(case, {"learning_rate": [0.01, 0.03]}, steps=5)


def test_no_key_is_used_twice(case):
    contract.check_keys_are_used_once(case)


def test_it_learns(case):
    metrics = contract.run(case, steps=400, chunk=400).metrics
    first, last = (metrics[metrics["step"] == step]["loss"].median() for step in (1, 400))
    assert last < first / 2
