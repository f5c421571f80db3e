"""Trains an LSTM language model with PyTorch, for `lm_against_torch.py`.

    python torch_lm_training.py DATA.npz SEED THREADS

prints the validation loss in nats per token, and the seconds that training took. DATA.npz holds the
laid-out tokens and the numbers of the recipe: Adam on clipped gradients, a learning rate with
cosine decay to 0, and the state carried from window to window and reset in every epoch. This script
needs torch and numpy, and nothing of this project.
"""

import json
import math
import sys
import time

import numpy as np
import torch  # pyright: ignore[reportMissingImports]
from torch_lm_loop import Model


def train(model, data) -> None:
    """Trains for all epochs over the training part."""
    recipe, tokens = json.loads(str(data["recipe"])), torch.from_numpy(data["train"])
    window, rate = recipe["window"], recipe["learning_rate"]
    windows = (len(tokens) - 1) // window
    updates = recipe["epochs"] * windows
    optimizer = torch.optim.Adam(model.parameters(), lr=rate)
    state = None
    for update in range(updates):
        for group in optimizer.param_groups:
            group["lr"] = rate * 0.5 * (1 + math.cos(math.pi * update / updates))
        first = update % windows * window
        part = tokens[first : first + window + 1]
        state = tuple(leaf.detach() for leaf in state) if state and first else None
        optimizer.zero_grad()
        logits, state = model(part[:-1], state)
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), part[1:].flatten())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), recipe["max_grad_norm"])
        optimizer.step()


@torch.no_grad()
def evaluate(model, data) -> float:
    """The mean loss over the tokens that are not masked out."""
    tokens, counts = torch.from_numpy(data["validation"]), torch.from_numpy(data["counts"])
    window, state, total = 64, None, 0.0
    for first in range(0, len(counts), window):
        part = tokens[first : first + window + 1]
        logits, state = model(part[:-1], state)
        nll = torch.nn.functional.cross_entropy(
            logits.flatten(0, 1), part[1:].flatten(), reduction="none"
        )
        total += float((nll * counts[first : first + window].flatten()).sum())
    return total / float(counts.sum())


def main(path: str, seed: int, threads: int) -> None:
    """Prints the loss and the seconds."""
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    data = np.load(path)
    recipe = json.loads(str(data["recipe"]))
    model = Model(recipe["symbols"], recipe["units"], recipe["layers"])
    began = time.perf_counter()
    train(model, data)
    seconds = time.perf_counter() - began
    print(json.dumps({"loss": evaluate(model, data), "seconds": seconds}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
