"""Named settings of the DQN."""

from typing import NamedTuple

from research.dqn.config import Config, HParams


class Preset(NamedTuple):
    """A config, and the values that its hyper-parameters start from."""

    config: Config
    hparams: HParams


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
