"""Tests that killed and resumed sweeps end with the bits of sweeps that were not killed."""

import importlib.util
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "compare" / "kills.py"
SWEEPS = {
    "mlp": "mlp.py --seeds 4 --steps 6000 --hidden 8 --learning-rate 1e-2 --chunk-every 20 "
    "--log-every 20 --eval-every 1000",
    "dqn": "dqn.py --seeds 4 --env-steps 30000 --hidden 8 --chunk-every 100 --log-every 100 "
    "--eval-every 15000 --eval-episodes 2",
    "lm": "lstm_lm.py --seeds 2 --hidden 8 --steps 1500 --batch-size 4 --window 8 --sample 0 "
    "--learning-rate 1e-2 --chunk-every 5 --log-every 5 --eval-every 750",
}


@pytest.mark.slow
@pytest.mark.parametrize("workload", SWEEPS)
def test_a_killed_and_resumed_sweep_ends_at_the_same_bits(tmp_path, monkeypatch, workload):
    """`scripts/compare/kills.py` does the same with more kills. Programs are compiled with all
    optimizations, unlike in other tests, since thousands of steps are run."""
    monkeypatch.setenv("XLA_FLAGS", "")
    spec = importlib.util.spec_from_file_location("kills", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    kills = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(kills)
    found = kills.compare_after_kills(SWEEPS[workload], tmp_path, kills=2, seconds=0.5)
    assert found["differ"] == []
    assert found["still"] == []
    assert found["compared"] > 20
    assert "resuming from step" in found["last"]
