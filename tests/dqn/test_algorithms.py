"""Tests of finding the algorithm that trained a run folder."""

import pytest

from research.dqn import ALGORITHMS, algorithm_of


@pytest.mark.parametrize(
    ("manifest", "name"),
    [
        ({"experiment": "mine", "data": [{"algorithm": "pqn"}]}, "pqn"),
        ({"experiment": "pqn", "data": [{"algorithm": "dqn"}, {"algorithm": "dqn"}]}, "dqn"),
        ({"experiment": "pqn", "data": [{"environment": "CartPole-v1"}]}, "pqn"),  # an older one
        ({"experiment": "mlp", "data": []}, None),
        ({"experiment": "mine", "data": [{"algorithm": "ppo"}]}, None),
        ({"experiment": ["dqn"], "data": {"algorithm": []}}, None),
    ],
)
def test_the_manifest_tells_which_algorithm_trained_a_folder(manifest, name):
    assert algorithm_of(manifest) is ALGORITHMS.get(name)
