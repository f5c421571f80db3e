"""Makes dqn.json with PyTorch: the outputs of a net 4 -> 16 -> 4, and one update of its DQN.

python tests/goldens/make_dqn.py      (needs torch and numpy; the tests need neither file nor
                                       torch beyond the JSON that is in the repo)
"""

import json
from pathlib import Path

import torch

LEARNING_RATE, EPS, MAX_NORM, GAMMA, BATCH = 0.01, 1e-5, 0.5, 0.97, 12


def net(seed):
    """A net 4 -> 16 -> 4 with ReLU between the layers."""
    torch.manual_seed(seed)
    return torch.nn.Sequential(torch.nn.Linear(4, 16), torch.nn.ReLU(), torch.nn.Linear(16, 4))


def as_lists(tensors):
    """Params under the names of Flax, whose kernels are the transposes of PyTorch's weights."""
    (w0, b0, w1, b1) = [tensor.detach() for tensor in tensors]
    return {
        "Dense_0": {"kernel": w0.T.tolist(), "bias": b0.tolist()},
        "action": {"kernel": w1.T.tolist(), "bias": b1.tolist()},
    }


def updated(batch, double, huber):
    """Loss, gradient and params after one step of Adam on the clipped gradient."""
    online, target = net(0), net(1)
    optimizer = torch.optim.Adam(online.parameters(), lr=LEARNING_RATE, eps=EPS)
    q_tm1 = online(batch["observation_tm1"]).gather(1, batch["a_tm1"][:, None])[:, 0]
    with torch.no_grad():
        q_t = target(batch["observation_t"])
        chooser = online(batch["observation_t"]) if double else q_t
        best = q_t.gather(1, chooser.argmax(1, keepdim=True))[:, 0]
        y = batch["r_t"] + batch["discount_t"] * best
    function = torch.nn.functional.huber_loss if huber else torch.nn.functional.mse_loss
    loss = function(q_tm1, y) if huber else 0.5 * function(q_tm1, y)
    loss.backward()
    gradients = as_lists([p.grad for p in online.parameters()])
    torch.nn.utils.clip_grad_norm_(online.parameters(), MAX_NORM)
    optimizer.step()
    after = as_lists(online.parameters())
    return {"loss": loss.item(), "gradients": gradients, "after": after}


def main():
    """Writes dqn.json beside this file."""
    torch.manual_seed(2)
    batch = {
        "observation_tm1": torch.randn(BATCH, 4),
        "a_tm1": torch.randint(4, (BATCH,)),
        "r_t": torch.randn(BATCH) * 2,
        "discount_t": GAMMA * (torch.rand(BATCH) < 0.7).float(),
        "observation_t": torch.randn(BATCH, 4),
    }
    golden = {
        "made_with": f"torch {torch.__version__}",
        "batch": {name: tensor.tolist() for name, tensor in batch.items()},
        "params": as_lists(net(0).parameters()),
        "target_params": as_lists(net(1).parameters()),
        "outputs": net(0)(batch["observation_tm1"]).tolist(),
        "greedy": net(0)(batch["observation_tm1"]).argmax(1).tolist(),
        "learning_rate": LEARNING_RATE,
        "adam_eps": EPS,
        "max_grad_norm": MAX_NORM,
        "squared": updated(batch, double=False, huber=False),
        "huber_double": updated(batch, double=True, huber=True),
    }
    path = Path(__file__).with_name("dqn.json")
    path.write_text(json.dumps(golden) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
