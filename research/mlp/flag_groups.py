"""How the command line of MLPs groups its flags; each is in one group.

The usual ones are the ten, `--preset` among them, that change first from sweep to sweep: what is
learned, by which net, how many seeds, how long and how fast; then what the run folder is called.
"""

FLAG_GROUPS = {
    "usual": (
        "data", "target", "seeds", "steps", "learning_rate", "hidden", "batch_size", "name",
        "resume",
    ),
    "data": (
        "test_data", "drop", "categorical", "numeric", "missing", "target_type", "min_category",
        "split_seed",
    ),
    "network": ("channels", "activation", "layer_norm", "residual", "dropout", "compute"),
    "optimizer": (
        "optimizer", "momentum", "beta2", "weight_decay", "loss", "class_weights", "key_metric",
    ),
    "robustness": ("label_noise", "adversarial_steps", "adversarial_radius"),
    "running": ("out", "parallel"),
}  # fmt: skip
