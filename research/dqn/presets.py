"""Named settings of DQN and PQN."""

import dataclasses
from typing import Any, NamedTuple

from research.dqn.config import Config, HParams
from research.dqn.pqn_config import PQNConfig, PQNHParams


class Preset(NamedTuple):
    """A config, and the values that its hyper-parameters start from."""

    config: Any
    hparams: Any


_CLASSIC = Config(
    env_steps=100_000,
    learning_starts=1_000,
    batch_size=64,
    torso="mlp",
    hidden=(64, 64),
    n_step=10,
)
_CLASSIC_RATES = HParams(learning_rate=1e-3, learning_rate_end=0.0, epsilon_fraction=0.3)
_MINATAR = Config(
    env="Breakout-MinAtar",
    torso="conv",
    hidden=(128,),
    env_steps=5_000_000,
    num_envs=1,
    train_every=1,
    learning_starts=5_000,
    buffer_size=100_000,
    batch_size=32,
    target_update_every=1_000,
)

PRESETS = {
    "cartpole": Preset(_CLASSIC, _CLASSIC_RATES),
    "acrobot": Preset(
        dataclasses.replace(_CLASSIC, env="Acrobot-v1", env_steps=200_000),
        dataclasses.replace(_CLASSIC_RATES, learning_rate=2e-3),
    ),
    # A random step leads nowhere here: the car must be pushed one way for long to see the goal.
    "mountaincar": Preset(
        dataclasses.replace(
            _CLASSIC,
            env="MountainCar-v0",
            env_steps=400_000,
            buffer_size=50_000,
            n_step=3,
            scale_observations=True,
        ),
        dataclasses.replace(_CLASSIC_RATES, exploration_length=20.0),
    ),
    # The net 4 -> 16 -> 4 with ReLU: of its gymnax environments FourRooms shows four numbers, where
    # the agent is and where the goal, and has four actions.
    "article": Preset(
        dataclasses.replace(_CLASSIC, env="FourRooms-misc", hidden=(16,)), _CLASSIC_RATES
    ),
    # The setting of CleanRL's dqn_jax and, with 10 environments, of purejaxrl's DQN. Neither bounds
    # the gradient.
    "cleanrl": Preset(Config(torso="mlp"), HParams(max_grad_norm=0.0)),
    # Young and Tian (2019), table 1, with Adam instead of centred RMSProp.
    "minatar": Preset(_MINATAR, HParams(epsilon_end=0.1, epsilon_fraction=0.02)),
}

# Gallici et al. (2024), appendix: 128 environments x 32 steps, 2 epochs of 32 minibatches.
_PQN_MINATAR = PQNConfig(
    env="Breakout-MinAtar",
    torso="conv",
    hidden=(128,),
    env_steps=9_998_336,
    num_envs=128,
    train_every=4_096,
    epochs=2,
    minibatches=32,
)

PQN_PRESETS = {
    "cartpole": Preset(
        PQNConfig(torso="mlp", env_steps=300_032),
        PQNHParams(learning_rate=3e-3, epsilon_fraction=0.2),
    ),
    "minatar": Preset(_PQN_MINATAR, PQNHParams()),
}
