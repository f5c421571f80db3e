"""Stable-Baselines3's DQN on CartPole, for `scripts/bench` to time.

    python sb3_loop.py THREADS SECONDS

prints, as JSON, env steps per second and what was trained: 10 environments, a 120-84 network, a
batch of 128, one update every 10 env steps, as in CleanRL's setting. This script needs
stable-baselines3 and nothing of this project.
"""

import json
import sys
import time

import torch  # pyright: ignore[reportMissingImports]
from stable_baselines3 import DQN  # pyright: ignore[reportMissingImports]
from stable_baselines3.common.env_util import (  # pyright: ignore[reportMissingImports]
    make_vec_env,
)

ENVS, BATCH, WARM_UP = 10, 128, 2_000


def main(threads: int, seconds: float) -> dict:
    """Warms up, then trains for as many env steps as take about `seconds`."""
    torch.set_num_threads(threads)
    model = DQN(
        "MlpPolicy", make_vec_env("CartPole-v1", n_envs=ENVS), learning_rate=2.5e-4,
        buffer_size=10_000, learning_starts=WARM_UP // 2, batch_size=BATCH, tau=1.0, gamma=0.99,
        train_freq=1, gradient_steps=1, target_update_interval=500, device="cpu",
        policy_kwargs={"net_arch": [120, 84]},
    )  # fmt: skip
    model.learn(WARM_UP)
    steps = WARM_UP
    while True:
        updates, began = model._n_updates, time.perf_counter()
        model.learn(steps, reset_num_timesteps=False)
        spent = time.perf_counter() - began
        if spent > seconds / 2:
            break
        steps *= 2
    updates = model._n_updates - updates
    params = sum(leaf.numel() for leaf in model.q_net.parameters())
    return {"units_per_second": updates * ENVS / spent, "updates": updates, "batch": BATCH,
            "params": params}  # fmt: skip


if __name__ == "__main__":
    print(json.dumps(main(int(sys.argv[1]), float(sys.argv[2]))))
