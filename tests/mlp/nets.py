"""Trained nets without a training program, which would take seconds to compile."""

import warnings

import numpy as np
from sklearn.neural_network import MLPClassifier, MLPRegressor


def trained(shared, hidden, epochs=60):
    """The params of a net with ReLU that scikit-learn trained on the training part."""
    kind = MLPClassifier if shared.classes else MLPRegressor
    net = kind(hidden_layer_sizes=hidden, learning_rate_init=1e-2, max_iter=epochs, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it need not converge
        net.fit(np.asarray(shared.train.x), np.asarray(shared.train.y))
    return {
        f"Dense_{layer}": {"kernel": np.float32(kernel), "bias": np.float32(bias)}
        for layer, (kernel, bias) in enumerate(zip(net.coefs_, net.intercepts_, strict=True))
    }
