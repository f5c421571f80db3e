"""A plain PyTorch training loop of an LSTM language model, for `scripts/bench` to time.

    python torch_lm_loop.py SYMBOLS UNITS LAYERS BATCH WINDOW THREADS SECONDS DTYPE

prints, as JSON, tokens per second and what was trained. It trains on random tokens with
SGD on clipped gradients and carries the state from window to window. It needs torch and nothing of
this project.
"""

import json
import sys
import time

import torch  # pyright: ignore[reportMissingImports]


class Model(torch.nn.Module):
    """An embedding, LSTM layers and a softmax layer."""

    def __init__(self, symbols: int, units: int, layers: int):
        super().__init__()
        self.embedding = torch.nn.Embedding(symbols, units)
        self.lstm = torch.nn.LSTM(units, units, layers)
        self.decoder = torch.nn.Linear(units, symbols)

    def forward(self, token, state):
        out, state = self.lstm(self.embedding(token), state)
        return self.decoder(out), state


def main(sizes: list[int], seconds: float, dtype: str) -> dict:
    """Warms up for a few updates, then measures tokens per second."""
    symbols, units, layers, batch, window, threads = sizes
    torch.set_num_threads(threads)
    model = Model(symbols, units, layers)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    token = torch.randint(symbols, (50 * window + 1, batch))
    state, updates, began = None, -3, 0.0
    while True:
        first = (updates % 50) * window
        part = token[first : first + window + 1]
        if state is not None:
            state = tuple(leaf.detach() for leaf in state)
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype == "bfloat16"):
            logits, state = model(part[:-1], state)
            loss = torch.nn.functional.cross_entropy(
                logits.flatten(0, 1).float(), part[1:].flatten()
            )
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()
        updates += 1
        if updates == 0:
            began = time.perf_counter()
        if updates > 0 and time.perf_counter() - began > seconds:
            spent = time.perf_counter() - began
            params = sum(leaf.numel() for leaf in model.parameters())
            return {"units_per_second": updates * batch * window / spent, "updates": updates,
                    "batch": batch, "params": params}  # fmt: skip


if __name__ == "__main__":
    *sizes, seconds, dtype = sys.argv[1:]
    print(json.dumps(main([int(size) for size in sizes], float(seconds), dtype)))
