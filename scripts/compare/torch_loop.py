"""A plain PyTorch training loop of an MLP, for `scripts/bench` to time.

    python torch_loop.py DATA.npz SIZES THREADS SECONDS

prints, as JSON, examples per second and what was trained. This script needs torch and
numpy, and nothing of this project.
"""

import itertools
import json
import sys
import time

import numpy as np
import torch  # pyright: ignore[reportMissingImports]


def main(path: str, sizes: list[int], threads: int, seconds: float, batch_size: int = 64) -> dict:
    """Trains with Adam at PyTorch's defaults; every epoch has a new random order of the
    examples."""
    torch.set_num_threads(threads)
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
                spent = time.perf_counter() - began
                params = sum(leaf.numel() for leaf in model.parameters())
                return {"units_per_second": steps * batch_size / spent, "updates": steps,
                        "batch": batch_size, "params": params}  # fmt: skip


if __name__ == "__main__":
    data, shape, threads, seconds = sys.argv[1:]
    sizes = [int(size) for size in shape.split("-")]
    print(json.dumps(main(data, sizes, int(threads), float(seconds))))
