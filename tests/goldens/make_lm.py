"""Makes lm.json with PyTorch, in float64: an LSTM language model over two windows, which carries
its state from the first to the second.

python tests/goldens/make_lm.py      (needs torch and numpy; the tests need neither file nor
                                      torch beyond the JSON that is in the repo)
"""

import json
from pathlib import Path

import torch

SYMBOLS, EMBEDDING, UNITS, LAYERS, WINDOW, BATCH = 11, 6, 5, 2, 7, 3


class Model(torch.nn.Module):
    """An embedding, LSTM layers and a softmax layer."""

    def __init__(self):
        super().__init__()
        self.embedding = torch.nn.Embedding(SYMBOLS, EMBEDDING)
        self.lstm = torch.nn.LSTM(EMBEDDING, UNITS, LAYERS)
        self.decoder = torch.nn.Linear(UNITS, SYMBOLS)

    def forward(self, token, state):
        out, state = self.lstm(self.embedding(token), state)
        return self.decoder(out), state


def main():
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float64)
    model = Model()
    token = torch.randint(SYMBOLS, (2 * WINDOW + 1, BATCH))
    state, losses = None, []
    for first in (0, WINDOW):
        window = token[first : first + WINDOW + 1]
        if state is not None:
            state = tuple(part.detach() for part in state)
        logits, state = model(window[:-1], state)
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), window[1:].flatten())
        losses.append(loss.item())
    loss.backward()
    golden = {
        "state_dict": {name: part.tolist() for name, part in model.state_dict().items()},
        "token": token.tolist(),
        "losses": losses,
        "logits": logits.tolist(),
        "gradients": {name: part.grad.tolist() for name, part in model.named_parameters()},
    }
    Path(__file__).with_name("lm.json").write_text(json.dumps(golden) + "\n")


if __name__ == "__main__":
    main()
