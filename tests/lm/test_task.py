"""The language model under the contract; what windows it reads; that it learns."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research.errors import UserError
from research.lm import Config, HParams, make_problem
from research.lm.averaging import MEMORY
from research.lm.evaluation import heldout_nll
from research.lm.softmax import token_nll
from research.lm.task import make_model, updates_an_epoch, window_loss
from research.task import always_zero
from tests import contract
from tests.contract import slow

STEPS = 15
TEXT = "the cat sat on the mat and saw a rat\n"
OFF = always_zero(HParams())
VARIANTS = {
    "plain": {"off": OFF},
    "everything": {"tied": True, "locked": True, "schedule": "plateau", "averaging": "asgd",
                   "level": "word", "softmax_chunk": 4, "embedding_size": 5},
    "sgd": {"optimizer": "sgd", "loss_over": "time", "schedule": "decay", "averaging": "ema",
            "coupled": True, "hidden": (8,), "off": OFF},
    "low": {"compute": "bfloat16", "off": OFF},
}  # fmt: skip
NOISY = HParams(
    embedding_dropout=0.1, input_dropout=0.1, layer_dropout=0.2, output_dropout=0.2,
    state_dropout=0.1, weight_dropout=0.1, activation_penalty=0.5, slowness_penalty=0.5,
    trigger_after=1.0, patience=0.0,
)  # fmt: skip


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """100 lines of which each is a shuffle of the words of one."""
    random = np.random.default_rng(0)
    lines = [" ".join(random.permutation(TEXT.split())) for _ in range(100)]
    path = tmp_path_factory.mktemp("corpus") / "text.txt"
    path.write_text("\n".join(lines) + "\n")
    return str(path)


def config(corpus, variant="plain", **changes):
    small = Config(
        corpus=corpus, embedding_size=6, hidden=(8, 7), batch_size=4, window=5, epochs=1,
        eval_streams=3, eval_context=4,
    )  # fmt: skip
    return dataclasses.replace(small, **VARIANTS[variant] | changes)


def small(corpus, **changes):
    """Of one layer: what is compiled for it, several tests share."""
    fixed = {"hidden": (24,), "embedding_size": 8, "batch_size": 8, "window": 10}
    return config(corpus, **fixed | changes)


def case(corpus, variant="plain", **changes):
    hparams = {"everything": NOISY, "sgd": HParams(decay_after=0.0)}.get(variant, HParams())
    problem = make_problem(config(corpus, variant, **changes))
    return contract.Case(problem, hparams, {"learning_rate": [1e-3, 1e-2]})


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["sgd", "plain", "everything"])
def test_a_lane_is_a_lone_run(corpus, variant):
    contract.check_a_lane_is_a_lone_run(case(corpus, variant), STEPS, atol=1e-5)


@pytest.mark.parametrize("variant", ["sgd", slow("plain")])
def test_place_changes_no_bit(corpus, variant):
    contract.check_place_changes_no_bit(case(corpus, variant), STEPS)


@pytest.mark.parametrize("variant", ["everything", "sgd", slow("plain"), slow("low")])
def test_all_steps_are_half_a_file_and_half(corpus, tmp_path, variant):
    contract.check_resumes_bit_for_bit(case(corpus, variant), tmp_path)


@pytest.mark.parametrize("variant", ["sgd", slow("plain"), slow("everything"), slow("low")])
def test_chunk_length_changes_no_bit(corpus, variant):
    contract.check_chunk_length_changes_no_bit(case(corpus, variant), STEPS, (STEPS,))


@pytest.mark.slow
def test_no_chunk_length_changes_a_bit(corpus):
    contract.check_chunk_length_changes_no_bit(case(corpus), STEPS, (1, 7))


@pytest.mark.parametrize("variant", [slow("sgd"), slow("plain")])
def test_sharded_is_unsharded(corpus, variant):
    contract.check_sharded_is_unsharded(case(corpus, variant), STEPS, atol=1e-5)


@pytest.mark.parametrize("variant", ["sgd", slow("plain")])
def test_seeds_differ_and_repeat(corpus, variant):
    contract.check_seeds_differ_and_repeat(case(corpus, variant), STEPS)


@pytest.mark.parametrize("variant", ["sgd", slow("plain")])
def test_traced_once(corpus, variant):
    contract.check_traced_once(case(corpus, variant))


@pytest.mark.parametrize("variant", ["plain", "everything", "sgd", slow("low")])
def test_keys_are_used_once(corpus, variant):
    contract.check_keys_are_used_once(case(corpus, variant))


SWEPT = {
    "everything": {
        "learning_rate": [1e-3, 1e-2],
        "warmup": [0.0, 20.0],
        "beta1": [0.0, 0.9],
        "beta2": [0.9, 0.999],
        "max_grad_norm": [0.0, 1e-9],
        "weight_decay": [0.0, 1.0],
        **{name: [0.0, 0.5] for name in OFF},
    },
    "sgd": {"decay": [0.1, 0.9], "decay_after": [0.0, 9.0], "ema_decay": [0.5, 0.9]},
}
BY_EPOCH = {"patience", "trigger_after"}  # tested with the plateau and the trigger


def test_every_hyperparameter_is_tried():
    fields = {field.name for field in dataclasses.fields(HParams)}
    assert set().union(*SWEPT.values()) | BY_EPOCH == fields


@pytest.mark.parametrize("variant", SWEPT)
def test_every_hyperparameter_changes_the_outcome(corpus, variant):
    contract.check_every_hparam_changes_the_outcome(case(corpus, variant), SWEPT[variant], 10)


def first_state(problem, hparams, seed=0):
    return jax.jit(problem.task.init)(problem.shared, hparams, jax.random.key(seed))


def train(problem, hparams, steps, seed=0):
    """One run without the engine: the state at its end, and all losses."""
    step, state, losses = jax.jit(problem.task.step), first_state(problem, hparams, seed), []
    for t in range(steps):
        key = jax.random.key(t)
        state, metrics = step(problem.shared, hparams, state, key, np.int32(t))
        losses.append(metrics["loss"])
    return state, np.asarray(losses)


def test_windows_follow_each_other_with_the_state_and_begin_anew_with_an_epoch(corpus):
    """With a learning rate of 0, the loss of an epoch is that of one long window."""
    setting = small(corpus)
    problem = make_problem(setting)
    windows = updates_an_epoch(setting, problem.shared)
    state, loss = train(problem, HParams(learning_rate=0.0), 2 * windows)
    np.testing.assert_allclose(loss[:windows], loss[windows:], rtol=1e-6)
    model = make_model(setting, problem.shared.symbols)
    token = np.asarray(problem.shared.train[: windows * 10 + 1], np.int32)
    nll = whole_nll(model, state.params, token).reshape(windows, 80)
    np.testing.assert_allclose(loss[:windows], nll.mean(axis=1), rtol=1e-5)


def whole_nll(model, params, token):
    """The losses of a text that is one window: [N]."""

    @jax.jit
    def nll(params):
        outputs = model.apply({"params": params}, token[:-1], model.start(token.shape[1]))
        out = outputs.out.reshape(-1, outputs.out.shape[-1])
        return token_nll(out, *model.softmax_params(params), token[1:].reshape(-1))

    return np.asarray(nll(params))


def gradient_of_a_window(setting):
    """(hyper-parameters, params, state before) -> the loss of a window and its gradient."""
    shared = make_problem(setting).shared
    token = jnp.asarray(shared.train[: setting.window + 1])

    def loss(params, hparams, carries):
        key = jax.random.key(1)
        return window_loss(setting, shared.symbols, hparams, params, token, carries, key)[0]

    grad = jax.jit(jax.value_and_grad(loss))
    return lambda hparams, params, carries: jax.device_get(grad(params, hparams, carries))


def test_the_gradient_is_the_slope_of_the_loss(corpus):
    """In three directions, by differences."""
    state = first_state(case(corpus, "everything").problem, NOISY)
    grad = gradient_of_a_window(config(corpus, "everything"))
    leaves, treedef = jax.tree.flatten(jax.device_get(state.trained))
    _, slopes = grad(NOISY, state.trained, state.carries)
    random = np.random.default_rng(0)
    for _ in range(3):
        way = [random.normal(size=leaf.shape).astype(np.float32) for leaf in leaves]
        there, back = (
            grad(NOISY, jax.tree.unflatten(treedef, [x + step * d for x, d in zip(leaves, way)]),
                 state.carries)[0]
            for step in (np.float32(0.005), np.float32(-0.005))
        )  # fmt: skip
        expected = sum(np.vdot(slope, d) for slope, d in zip(jax.tree.leaves(slopes), way))
        np.testing.assert_allclose((there - back) / 0.01, expected, atol=2e-2, rtol=2e-2)


@pytest.fixture(scope="module")
def beginning(corpus):
    """A state before its first update."""
    return first_state(case(corpus).problem, HParams())


@pytest.fixture(scope="module")
def gradients(corpus):
    """With everything that may be off, and without."""
    return gradient_of_a_window(config(corpus, off=())), gradient_of_a_window(config(corpus))


def test_what_is_off_is_not_read_and_changes_nothing_at_0(corpus, beginning, gradients):
    """The same loss and gradient whether a rate is 0 or off; and a sweep over what is off is
    refused."""
    on, off = (grad(HParams(), beginning.params, beginning.carries) for grad in gradients)
    for one, other in zip(*map(jax.tree.leaves, (on, off)), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)
    with pytest.raises(UserError, match="--layer-dropout: nothing uses it"):
        contract.run(case(corpus)._replace(axes={"layer_dropout": [0.0, 0.5]}), 1, seeds=[0])


def test_a_loss_over_time_has_a_gradient_larger_by_the_window(corpus, beginning, gradients):
    _, over_tokens = gradients
    over_time = gradient_of_a_window(config(corpus, loss_over="time"))
    grads = [
        grad(HParams(), beginning.params, beginning.carries)[1] for grad in (over_tokens, over_time)
    ]
    for tokens, time in zip(*map(jax.tree.leaves, grads), strict=True):
        np.testing.assert_allclose(time, 5 * tokens, rtol=1e-5, atol=1e-7)


def test_a_penalty_on_params_pulls_each_towards_0(beginning, gradients):
    grad, _ = gradients
    without, penalized = (
        grad(HParams(l2_penalty=penalty), beginning.params, beginning.carries)[1]
        for penalty in (0.0, 0.5)
    )
    pull = jax.tree.map(np.subtract, penalized, without)
    for one, param in zip(*map(jax.tree.leaves, (pull, beginning.params)), strict=True):
        np.testing.assert_allclose(one, 0.5 * param, atol=1e-5)


@pytest.mark.parametrize("frozen", [False, True])
def test_embeddings_begin_with_the_vectors_and_may_stay_them(corpus, tmp_path, frozen):
    path = tmp_path / "vectors.txt"
    path.write_text("cat 1 2 3 4 5 6\nunseen 6 5 4 3 2 1\nthe 2 2 2 2 2 2\n")
    setting = config(corpus, level="word", glove=str(path), frozen=frozen, hidden=(4,))
    problem = make_problem(setting)
    vectors = problem.shared.vectors
    covered = problem.facts["glove"]  # of 11 types, <eos> and <unk> among them
    assert covered == {
        "found": 2, "types": pytest.approx(2 / 11), "tokens": pytest.approx(3 / 11),
    }  # fmt: skip
    (note,) = problem.notes
    assert "2 of the 11 words of the vocabulary have a vector, 27.3% of the training text" in note
    hparams = HParams(weight_decay=0.1)
    start = first_state(problem, hparams).params
    np.testing.assert_array_equal(
        np.asarray(start["embedding"])[vectors.found], vectors.table[vectors.found]
    )
    params = train(problem, hparams, 5)[0].params
    moved = np.abs(np.asarray(params["embedding"]) - start["embedding"])
    assert (moved.max() == 0) == frozen
    assert (moved[vectors.found].max() == 0) == frozen
    assert np.abs(np.asarray(params["softmax"]) - start["softmax"]).max() > 1e-3


@pytest.fixture(scope="module")
def four_epochs(corpus):
    """Runs of two weight decays, with a look at the validation loss after each epoch but the last.
    The larger one makes every step overshoot: it only gets worse."""
    hparams = dataclasses.replace(NOISY, learning_rate=1e-3, decay=0.9)
    tried = contract.Case(case(corpus, "everything").problem, hparams, {"weight_decay": [0, 2300]})
    steps = 4 * tried.problem.task.epoch
    steps -= steps % contract.CHUNK
    return tried.problem, contract.run(tried, steps)


def test_a_plateau_lowers_the_rate_of_each_run_for_itself(four_epochs):
    scale = four_epochs[1].states.plateau.scale.reshape(2, contract.SEEDS)
    np.testing.assert_allclose(scale, [[1], [0.9**2]] * np.ones(contract.SEEDS))


def test_a_trigger_begins_the_average_of_each_run_for_itself(four_epochs):
    states = four_epochs[1].states
    assert states.trigger.lowest.shape == (2 * contract.SEEDS, MEMORY)
    begun = states.trigger.begun.reshape(2, contract.SEEDS)
    assert begun.tolist() == [contract.SEEDS * [False], contract.SEEDS * [True]]
    pairs = zip(*map(jax.tree.leaves, (states.params, states.trained)), strict=True)
    apart = [np.abs(leaf - other).reshape(*begun.shape, -1).max(axis=2) for leaf, other in pairs]
    apart = np.max(apart, axis=0)
    assert (apart[0] == 0).all()
    assert (apart[1] > 1e-3).all()


def test_the_average_is_evaluated(corpus, four_epochs):
    problem, swept = four_epochs
    average = jax.tree.map(lambda leaf: leaf[-1], swept.states.params)
    model = make_model(config(corpus, "everything"), problem.shared.symbols)
    heldout = problem.shared.validation
    nll = jax.jit(lambda params: heldout_nll(model, params, heldout, 5))(average)
    loss = swept.metrics["validation_loss"].dropna().iloc[-1]
    assert loss == pytest.approx(float(nll) / heldout.counts.sum(), rel=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["patience", "trigger_after"])
def test_validation_steers_where_it_steers_one_thing_only(corpus, name):
    changes = {"patience": {"schedule": "plateau"}, "trigger_after": {"averaging": "asgd"}}[name]
    setting = config(corpus, batch_size=100, window=20, epochs=6, **changes)
    problem = make_problem(setting)
    windows = updates_an_epoch(setting, problem.shared)
    hparams = HParams(patience=0.0, trigger_after=1.0, max_grad_norm=0.0)
    tried = contract.Case(problem, hparams, {"learning_rate": [1e-3, 3.0]})
    states = contract.run(tried, 6 * windows, seeds=[0], chunk=6 * windows).states
    if name == "patience":
        assert states.plateau.scale[0] == 1
        assert states.plateau.scale[1] < 1
    else:
        assert states.trigger.begun.tolist() == [False, True]


@pytest.fixture(scope="module")
def uncut(corpus):
    """Params, and the loss of the validation text where all of it is one window."""
    setting = config(corpus, eval_streams=1, eval_context=0)
    problem = make_problem(setting)
    params = jax.tree.map(
        lambda leaf: 3 * leaf, jax.device_get(first_state(problem, HParams()).params)
    )
    whole = problem.shared.validation
    tokens = np.asarray(whole.tokens, np.int32)[: int(whole.counts.sum()) + 1]
    return params, whole_nll(make_model(setting, problem.shared.symbols), params, tokens).sum()


@pytest.mark.parametrize(("streams", "context"), [(1, 0), (3, 60), slow(16, 60)])
def test_perplexity_does_not_depend_on_how_the_text_is_cut(corpus, uncut, streams, context):
    """Once every token is predicted, from all before it or from enough of them."""
    setting = config(corpus, eval_streams=streams, eval_context=context)
    shared = make_problem(dataclasses.replace(setting, window=8)).shared
    params, expected = uncut
    model = make_model(setting, shared.symbols)
    found = jax.jit(lambda params: heldout_nll(model, params, shared.validation, 8))(params)
    assert float(found) == pytest.approx(expected, rel=1e-5)


def test_scores_are_what_they_are_called(corpus):
    problem = case(corpus, "everything").problem
    metrics = contract.run(case(corpus, "everything"), contract.CHUNK).metrics
    metrics = metrics[metrics["run"] == 0].iloc[-1]
    facts = problem.facts["validation"]
    loss = metrics["validation_loss"]
    assert metrics["validation_perplexity"] == pytest.approx(np.exp(loss), rel=1e-5)
    bits = loss * facts["tokens"] / np.log(2) / facts["characters"]
    assert metrics["validation_bits_per_character"] == pytest.approx(bits, rel=1e-5)
    assert loss == pytest.approx(np.log(facts["tokens"] and problem.shared.symbols), rel=0.1)


@pytest.mark.parametrize("seed", [0, slow(1)])
def test_it_learns_what_can_be_learned(corpus, seed):
    """Within a word the next letter is sure but for a few: far below one bit is in reach, and what
    comes after a word is not."""
    problem, hparams = make_problem(small(corpus, steps=400)), HParams(learning_rate=2e-2)
    state, _ = train(problem, hparams, 400, seed)
    metrics = jax.jit(problem.task.evaluate)(problem.shared, hparams, state, jax.random.key(0))
    assert 0.3 < metrics["validation_bits_per_character"] < 1.3


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"batch_size": 10_000}, "fewer than one window of --window 5 for each of --batch-size"),
        ({"level": "letter"}, "--level letter: there are word, character, byte, bpe"),
        ({"schedule": "linear"}, "--schedule linear: there are constant, decay, cosine, plateau"),
        ({"hidden": ()}, "--hidden"),
        ({"softmax_chunk": 3}, "--softmax-chunk 3: must divide the 4 x 5 tokens"),
        ({"glove": "vectors.txt"}, "--glove vectors.txt: for --level word, not character"),
        ({"frozen": True, "tied": True}, "the softmax would not learn"),
        ({"split": "90"}, "--split 90: give two or three percentages"),
    ],
)
def test_what_does_not_fit_is_one_clear_line(corpus, changes, says):
    with pytest.raises(UserError, match=says):
        make_problem(config(corpus, **changes))


@pytest.mark.parametrize("steps", [0, 400, slow(7)])
def test_the_learning_rate_reaches_0_with_the_last_update_and_not_before(corpus, steps):
    """However many steps are asked for: fewer than the epochs have, more, or as many."""
    setting = small(corpus, steps=steps)
    assert setting.schedule == "cosine"
    problem = make_problem(setting)
    windows = updates_an_epoch(setting, problem.shared)
    task, end = problem.task, steps or windows
    assert task.steps == end
    assert steps in (0, 7) or windows < steps
    hparams, step = HParams(learning_rate=1e-2), jax.jit(task.step)
    state = first_state(problem, hparams)

    def moved(t):
        after, _ = step(problem.shared, hparams, state, jax.random.key(1), np.int32(t))
        old, new = (jax.tree.leaves(one.params) for one in (state, after))
        return max(np.abs(np.asarray(a) - b).max() for a, b in zip(old, new, strict=True))

    assert moved(0) == pytest.approx(1e-2, rel=0.01)  # what Adam begins with
    last = 1e-2 * np.sin(np.pi / 2 / end) ** 2
    assert 0 < moved(end - 1) == pytest.approx(last, rel=0.01, abs=3e-7)  # params are rounded
    assert moved(end) == 0
