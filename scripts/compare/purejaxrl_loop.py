"""purejaxrl's DQN on CartPole as its authors publish it, for `scripts/bench` to time.

    python purejaxrl_loop.py FOLDER RUNS SECONDS

prints, as JSON, the env steps per second of all runs, which are under one `vmap` as in its README,
and what was trained: 10 environments, a 120-84 network, a batch of 128, one update every 10 env
steps. FOLDER is a checkout of github.com/luchris429/purejaxrl. This script needs the packages that
purejaxrl needs (jax, flax, optax, gymnax 0.0.9, flashbax), and nothing of this project.
"""

import json
import sys
import time
import types

import jax

# A package that its file imports but does not use here, and a name that JAX has dropped.
sys.modules["wandb"] = types.ModuleType("wandb")
jax.tree_map = jax.tree.map  # pyright: ignore[reportAttributeAccessIssue]

# The settings of its main(), except for the length and the warm-up, which has no updates.
CONFIG = {
    "NUM_ENVS": 10,
    "BUFFER_SIZE": 10_000,
    "BUFFER_BATCH_SIZE": 128,
    "EPSILON_START": 1.0,
    "EPSILON_FINISH": 0.05,
    "EPSILON_ANNEAL_TIME": 25e4,
    "TARGET_UPDATE_INTERVAL": 500,
    "LR": 2.5e-4,
    "LEARNING_STARTS": 0,
    "TRAINING_INTERVAL": 10,
    "GAMMA": 0.99,
    "TAU": 1.0,
    "ENV_NAME": "CartPole-v1",
    "TOTAL_TIMESTEPS": 20_000,
}


def main(folder: str, runs: int, seconds: float) -> dict:
    """Compiles, trains once to warm up, then trains repeatedly for about `seconds`."""
    sys.path.insert(0, folder)
    from purejaxrl import dqn  # pyright: ignore[reportMissingImports]

    train = jax.jit(jax.vmap(dqn.make_train(dict(CONFIG))))
    keys = jax.random.split(jax.random.PRNGKey(0), runs)
    end = jax.block_until_ready(train(keys))
    times, began = 0, time.perf_counter()
    while time.perf_counter() - began < seconds or not times:
        end = jax.block_until_ready(train(keys))
        times += 1
    spent = time.perf_counter() - began
    state = end["runner_state"][0]
    params = sum(leaf[0].size for leaf in jax.tree.leaves(state.params))
    updates = times * int(state.n_updates[0])
    return {"units_per_second": runs * updates * CONFIG["TRAINING_INTERVAL"] / spent,
            "updates": updates, "batch": CONFIG["BUFFER_BATCH_SIZE"], "params": params}  # fmt: skip


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))))
