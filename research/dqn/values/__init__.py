"""Distributions of returns: one file each, all with the functions of `Values`.

Another one is another file and a line here.
"""

from research.dqn.values.categorical import CATEGORICAL
from research.dqn.values.interface import ValueOutputs, Values
from research.dqn.values.iqn import IQN
from research.dqn.values.mean import MEAN
from research.dqn.values.quantile import QUANTILE

VALUES: dict[str, Values] = {
    "mean": MEAN,
    "categorical": CATEGORICAL,
    "quantile": QUANTILE,
    "iqn": IQN,
}

__all__ = ["VALUES", "ValueOutputs", "Values"]
