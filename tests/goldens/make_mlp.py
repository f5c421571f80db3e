"""Makes mlp.json with PyTorch: the outputs and updates of a net 10 -> 5 -> 1.

python tests/goldens/make_mlp.py      (needs torch and numpy; the tests need neither file nor
                                       torch beyond the JSON that is in the repo)
"""

import json
from pathlib import Path

import torch

LEARNING_RATE, WEIGHT_DECAY, MOMENTUM, STEPS = 0.05, 0.1, 0.9, 5


def net():
    """A net 10 -> 5 -> 1 with ReLU between the layers, with the same weights at every call."""
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(10, 5), torch.nn.ReLU(), torch.nn.Linear(5, 1))


def as_lists(tensors):
    """Params under the names of Flax, whose kernels are the transposes of PyTorch's weights."""
    (w0, b0, w1, b1) = [tensor.detach() for tensor in tensors]
    return {
        "Dense_0": {"kernel": w0.T.tolist(), "bias": b0.tolist()},
        "Dense_1": {"kernel": w1.T.tolist(), "bias": b1.tolist()},
    }


def train(optimizer_of, x, y):
    """The params after a few full-batch steps on the squared error."""
    model = net()
    optimizer = optimizer_of(model)
    for _ in range(STEPS):
        optimizer.zero_grad()
        torch.nn.functional.mse_loss(model(x)[:, 0], y).backward()
        optimizer.step()
    return as_lists(model.parameters())


def adamw(model):
    """AdamW with decoupled decay of the weights but not of the biases."""
    weights = [p for p in model.parameters() if p.ndim > 1]
    biases = [p for p in model.parameters() if p.ndim == 1]
    groups = [{"params": weights, "weight_decay": WEIGHT_DECAY}, {"params": biases}]
    return torch.optim.AdamW(groups, lr=LEARNING_RATE, weight_decay=0.0, betas=(MOMENTUM, 0.999))


def sgd(model):
    """SGD with heavy-ball momentum."""
    return torch.optim.SGD(model.parameters(), lr=LEARNING_RATE, momentum=MOMENTUM)


def main():
    """Writes mlp.json beside this file."""
    model = net()
    x, y = torch.randn(16, 10), torch.randn(16)
    outputs = model(x)
    loss = torch.nn.functional.mse_loss(outputs[:, 0], y)
    loss.backward()
    golden = {
        "made_with": f"torch {torch.__version__}",
        "x": x.tolist(),
        "y": y.tolist(),
        "params": as_lists(model.parameters()),
        "outputs": outputs.tolist(),
        "loss": loss.item(),
        "gradients": as_lists([p.grad for p in model.parameters()]),
        "steps": STEPS,
        "learning_rate": LEARNING_RATE,
        "weight_decay": WEIGHT_DECAY,
        "momentum": MOMENTUM,
        "after_adamw": train(adamw, x, y),
        "after_sgd": train(sgd, x, y),
    }
    path = Path(__file__).with_name("mlp.json")
    path.write_text(json.dumps(golden) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
