"""Named settings of DQN and PQN, and how they differ from what they are named after."""

import dataclasses
from typing import Any, NamedTuple

from research.dqn.config import Config, HParams
from research.dqn.pqn_config import PQNConfig, PQNHParams


class Preset(NamedTuple):
    """A config, and the values that its hyper-parameters start from."""

    config: Any
    hparams: Any


_CARTPOLE, _CARTPOLE_RATES = Config(), HParams()

PRESETS = {
    "cartpole": Preset(_CARTPOLE, _CARTPOLE_RATES),
    "acrobot": Preset(
        dataclasses.replace(_CARTPOLE, env="Acrobot-v1", env_steps=200_000),
        dataclasses.replace(_CARTPOLE_RATES, learning_rate=2e-3),
    ),
    # A random step leads nowhere here: the car must be pushed one way for long to see the goal.
    "mountaincar": Preset(
        dataclasses.replace(
            _CARTPOLE,
            env="MountainCar-v0",
            env_steps=400_000,
            buffer_size=50_000,
            n_step=3,
            scale_observations=True,
        ),
        dataclasses.replace(_CARTPOLE_RATES, exploration_length=20.0),
    ),
    # The net 4 -> 16 -> 4 with ReLU: of its gymnax environments FourRooms shows four numbers, where
    # the agent is and where the goal, and has four actions.
    "article": Preset(
        dataclasses.replace(_CARTPOLE, env="FourRooms-misc", hidden=(16,)), _CARTPOLE_RATES
    ),
    # The settings of CleanRL's dqn_jax.py, and of purejaxrl's dqn.py after it, with the ten
    # environments of the latter. It differs from both in these:
    #   - the first 10,000 actions are random, where theirs are epsilon-greedy from the first on;
    #   - the loss is half the squared error, which Adam notices only through its epsilon;
    #   - from purejaxrl: a time limit bootstraps from the last observation, as in CleanRL.
    "cleanrl": Preset(
        Config(
            env_steps=500_000,
            num_envs=10,
            train_every=10,
            learning_starts=10_000,
            buffer_size=10_000,
            batch_size=128,
            target_update_every=500,
            torso="mlp",
            hidden=(120, 84),
            n_step=1,
        ),
        HParams(
            learning_rate=2.5e-4,
            learning_rate_end=1.0,
            max_grad_norm=0.0,
            epsilon_end=0.05,
            epsilon_fraction=0.5,
        ),
    ),
    # The DQN of Young and Tian (2019), by the authors' code (examples/dqn.py of kenjyoung/MinAtar):
    # its net, replay, batch, discount, smooth L1 loss, step size and target updates, no clipping.
    # It differs in these:
    #   - Adam (epsilon 1e-8), where theirs is centred RMSProp (decay 0.95, epsilon 0.01);
    #   - kernels begin LeCun normal and biases 0, where PyTorch draws both uniformly within
    #     1 / sqrt(inputs);
    #   - epsilon falls from frame 0 to frame 105,000, where theirs is 1 up to frame 5,000 and then
    #     falls: at most 0.043 apart, and the same from the end on;
    #   - a batch is drawn with replacement;
    #   - the target network moves at multiples of 1,000 frames, theirs after every 1,000 updates
    #     from frame 5,001 on: a frame apart;
    #   - gymnax's games, unless `--protocol original` brings back sticky actions, all six actions
    #     and no short time limit. Where Freeway's time is over, the value of the last observation
    #     is bootstrapped from; theirs counts that as an end.
    "minatar": Preset(
        Config(
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
            n_step=1,
            loss="huber",
        ),
        HParams(
            learning_rate=2.5e-4,
            learning_rate_end=1.0,
            max_grad_norm=0.0,
            epsilon_end=0.1,
            epsilon_fraction=0.021,
        ),
    ),
}

PQN_PRESETS = {
    "cartpole": Preset(PQNConfig(), PQNHParams()),
    # PQN on MinAtar by the authors' code (Gallici et al., 2024; pqn_minatar.py and
    # config/alg/pqn_minatar.yaml of mttga/purejaxql): 128 environments x 32 steps a round, 2 epochs
    # of 32 minibatches, their net, rates and clipping. It differs in these:
    #   - kernels of hidden layers begin LeCun normal, theirs He normal;
    #   - observations are 0 and 1, theirs divided by 255 (before a normalized layer, where it
    #     matters through the constant in the normalization's denominator);
    #   - epsilon falls with every environment step, and the learning rate with every round, where
    #     theirs do with every round and with every update;
    #   - where time is over, the value of the last observation is bootstrapped from; theirs counts
    #     that as an end;
    #   - evaluation acts at random once in 1,000 steps, theirs never.
    "minatar": Preset(
        PQNConfig(
            env="Breakout-MinAtar",
            torso="conv",
            hidden=(128,),
            env_steps=9_998_336,
            num_envs=128,
            train_every=4_096,
            epochs=2,
            minibatches=32,
        ),
        PQNHParams(learning_rate=5e-4, epsilon_fraction=0.1),
    ),
}
