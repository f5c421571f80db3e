"""purejaxrl's DQN as its authors publish it, for `dqn_speed.py` to time.

    python purejaxrl_loop.py FOLDER RUNS ENV_STEPS     prints env steps per second, all runs

FOLDER is a checkout of github.com/luchris429/purejaxrl. Needs what it needs (jax, flax, optax,
gymnax 0.0.9, flashbax), nothing of this project.
"""

import sys
import time
import types

import jax

# What its file imports and this measurement does not use, and a name that JAX dropped.
sys.modules["wandb"] = types.ModuleType("wandb")
jax.tree_map = jax.tree.map  # pyright: ignore[reportAttributeAccessIssue]

# The settings of its main(), but for the length.
CONFIG = {
    "NUM_ENVS": 10,
    "BUFFER_SIZE": 10_000,
    "BUFFER_BATCH_SIZE": 128,
    "EPSILON_START": 1.0,
    "EPSILON_FINISH": 0.05,
    "EPSILON_ANNEAL_TIME": 25e4,
    "TARGET_UPDATE_INTERVAL": 500,
    "LR": 2.5e-4,
    "LEARNING_STARTS": 10_000,
    "TRAINING_INTERVAL": 10,
    "GAMMA": 0.99,
    "TAU": 1.0,
    "ENV_NAME": "CartPole-v1",
}


def main(folder: str, runs: int, env_steps: int) -> float:
    """Compiles, trains once to warm up and once more under the clock."""
    sys.path.insert(0, folder)
    from purejaxrl import dqn  # pyright: ignore[reportMissingImports]

    train = jax.jit(jax.vmap(dqn.make_train({**CONFIG, "TOTAL_TIMESTEPS": env_steps})))
    keys = jax.random.split(jax.random.PRNGKey(0), runs)
    train = train.lower(keys).compile()
    seconds = 0.0
    for _ in range(2):
        began = time.perf_counter()
        jax.block_until_ready(train(keys))
        seconds = time.perf_counter() - began
    return runs * env_steps / seconds


if __name__ == "__main__":
    print(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
