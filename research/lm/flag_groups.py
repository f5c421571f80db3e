"""How the command line of language models groups its flags; each is in one group.

The usual ones are the ten, `--preset` among them, that change first from sweep to sweep: which text
is learned, by which model, how many seeds, how long and how fast; then where the runs are kept.
"""

FLAG_GROUPS = {
    "usual": (
        "corpus", "seeds", "epochs", "learning_rate", "hidden", "batch_size", "name", "out",
        "resume",
    ),
    "text": ("split", "level", "vocabulary_size", "sample"),
    "network": (
        "embedding_size", "glove", "frozen", "tied", "coupled", "init_scale", "forget_bias",
        "softmax_chunk", "compute",
    ),
    "optimizer": (
        "window", "steps", "optimizer", "beta1", "beta2", "loss_over", "max_grad_norm",
    ),
    "schedule": ("schedule", "warmup", "decay", "decay_after", "patience"),
    "regularization": (
        "locked", "embedding_dropout", "input_dropout", "layer_dropout", "output_dropout",
        "state_dropout", "weight_dropout", "weight_decay", "l2_penalty", "activation_penalty",
        "slowness_penalty",
    ),
    "averaging": ("averaging", "ema_decay", "trigger_after"),
    "evaluation": ("eval_streams", "eval_context"),
    "running": ("parallel",),
}  # fmt: skip
