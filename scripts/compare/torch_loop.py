"""A plain PyTorch training loop of an MLP, for `mlp_against_torch.py` to time. One thread.

    python torch_loop.py DATA.npz SIZES SECONDS     prints optimizer steps per second

Needs torch and numpy, nothing of this project.
"""

import itertools
import sys
import time

import numpy as np
import torch  # pyright: ignore[reportMissingImports]


def main(path: str, sizes: list[int], seconds: float, batch_size: int = 64) -> float:
    """Adam at PyTorch's defaults, an order of the examples drawn anew every epoch."""
    torch.set_num_threads(1)
    data = np.load(path)
    x, y = torch.from_numpy(data["x"]), torch.from_numpy(data["y"])
    layers: list[torch.nn.Module] = []
    for wide, narrow in itertools.pairwise(sizes):
        layers += [torch.nn.Linear(wide, narrow), torch.nn.ReLU()]
    model = torch.nn.Sequential(*layers[:-1])
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    classifies = not y.is_floating_point()
    loss_of = torch.nn.functional.cross_entropy if classifies else torch.nn.functional.mse_loss
    y = y.long() if classifies else y[:, None]
    steps, began = -200, 0.0  # the first 200 warm up
    while True:
        order = torch.randperm(len(x))
        for start in range(0, len(x) - batch_size + 1, batch_size):
            rows = order[start : start + batch_size]
            optimizer.zero_grad()
            loss_of(model(x[rows]), y[rows]).backward()
            optimizer.step()
            steps += 1
            if steps == 0:
                began = time.perf_counter()
            if steps > 0 and time.perf_counter() - began > seconds:
                return steps / (time.perf_counter() - began)


if __name__ == "__main__":
    print(main(sys.argv[1], [int(size) for size in sys.argv[2].split("-")], float(sys.argv[3])))
