"""Tests that killed and resumed sweeps end with the bits of sweeps that were not killed."""

import importlib.util
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "compare" / "kills.py"
SWEEPS = {
    "mlp": "mlp.py --seeds 4 --steps 2500 --hidden 8 --learning-rate 1e-2 --chunk-every 20 "
    "--log-every 20 --eval-every 500",
    "dqn": "dqn.py --seeds 4 --env-steps 8000 --hidden 8 --chunk-every 100 --log-every 100 "
    "--eval-every 4000 --eval-episodes 2",
    "lm": "lstm_lm.py --seeds 2 --hidden 8 --steps 600 --batch-size 4 --window 8 --sample 0 "
    "--learning-rate 1e-2 --chunk-every 5 --log-every 5 --eval-every 300",
}  # of which each takes several times as long as the processes are left alive


@pytest.mark.slow
@pytest.mark.parametrize(("workload", "kills"), [("mlp", 2), ("dqn", 1), ("lm", 1)])
def test_a_killed_and_resumed_sweep_ends_at_the_same_bits(tmp_path, workload, kills):
    """`scripts/compare/kills.py` does the same with more kills. What becomes of a sweep that is
    killed once more after it was resumed depends on no workload."""
    spec = importlib.util.spec_from_file_location("kills", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    kills_of = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(kills_of)
    found = kills_of.compare_after_kills(SWEEPS[workload], tmp_path, kills, seconds=0.25)
    assert found["kills"] == kills
    assert found["differ"] == []
    assert found["still"] == []
    assert found["compared"] > 20
    assert "resuming from step" in found["last"]
