"""Named settings of DQN and PQN."""

from typing import Any, NamedTuple

from research.dqn.config import Config, HParams
from research.dqn.pqn_config import PQNConfig, PQNHParams


class Preset(NamedTuple):
    """A config, and the values that its hyper-parameters start from."""

    config: Any
    hparams: Any


_CLASSIC = Config(torso="mlp")
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
    "cartpole": Preset(_CLASSIC, HParams()),
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
    "cartpole": Preset(PQNConfig(torso="mlp"), PQNHParams()),
    "minatar": Preset(_PQN_MINATAR, PQNHParams()),
}
