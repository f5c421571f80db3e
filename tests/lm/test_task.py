"""The language model under the contract; what windows it reads; that it learns."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from research.engine import Cadence, sweep
from research.errors import UserError
from research.lm import Config, HParams, make_problem
from research.lm.averaging import MEMORY
from research.lm.evaluation import heldout_nll
from research.lm.softmax import token_nll
from research.lm.task import init, make_model, updates_an_epoch, window_loss
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
            "coupled": True, "off": OFF},
    "low": {"compute": "bfloat16", "off": OFF},
}  # fmt: skip
NOISY = HParams(
    embedding_dropout=0.1, input_dropout=0.1, layer_dropout=0.2, output_dropout=0.2,
    state_dropout=0.1, weight_dropout=0.1, activation_penalty=0.5, slowness_penalty=0.5,
    trigger_after=1.0, patience=0.0,
)  # fmt: skip


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """200 lines of which each is a shuffle of the words of one."""
    random = np.random.default_rng(0)
    lines = [" ".join(random.permutation(TEXT.split())) for _ in range(200)]
    path = tmp_path_factory.mktemp("corpus") / "text.txt"
    path.write_text("\n".join(lines) + "\n")
    return str(path)


def config(corpus, variant="plain", **changes):
    small = Config(
        corpus=corpus, embedding_size=6, hidden=(8, 7), batch_size=4, window=5, epochs=1,
        eval_streams=3, eval_context=4,
    )  # fmt: skip
    return dataclasses.replace(small, **VARIANTS[variant] | changes)


def case(corpus, variant="plain", **changes):
    hparams = {"everything": NOISY, "sgd": HParams(decay_after=0.0)}.get(variant, HParams())
    problem = make_problem(config(corpus, variant, **changes))
    return contract.Case(problem, hparams, {"learning_rate": [1e-3, 1e-2]})


@pytest.mark.parametrize("variant", ["plain", slow("everything")])
def test_a_lane_is_a_lone_run(corpus, variant):
    contract.check_a_lane_is_a_lone_run(case(corpus, variant), STEPS, atol=1e-5)


@pytest.mark.parametrize("variant", ["plain"])
def test_place_changes_no_bit(corpus, variant):
    contract.check_place_changes_no_bit(case(corpus, variant), STEPS)


@pytest.mark.parametrize("variant", ["plain", "everything", slow("sgd"), slow("low")])
def test_all_steps_are_half_a_file_and_half(corpus, tmp_path, variant):
    contract.check_resumes_bit_for_bit(case(corpus, variant), tmp_path)


@pytest.mark.parametrize("variant", ["plain", slow("everything"), slow("low")])
def test_chunk_length_changes_no_bit(corpus, variant):
    contract.check_chunk_length_changes_no_bit(case(corpus, variant), STEPS, (STEPS,))


@pytest.mark.slow
def test_no_chunk_length_changes_a_bit(corpus):
    contract.check_chunk_length_changes_no_bit(case(corpus), STEPS, (1, 7))


@pytest.mark.parametrize("variant", ["plain"])
def test_sharded_is_unsharded(corpus, variant):
    contract.check_sharded_is_unsharded(case(corpus, variant), STEPS, atol=1e-5)


@pytest.mark.parametrize("variant", ["plain"])
def test_seeds_differ_and_repeat(corpus, variant):
    contract.check_seeds_differ_and_repeat(case(corpus, variant), STEPS)


@pytest.mark.parametrize("variant", ["plain"])
def test_traced_once(corpus, variant):
    contract.check_traced_once(case(corpus, variant))


@pytest.mark.parametrize("variant", VARIANTS)
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
    contract.check_every_hparam_changes_the_outcome(case(corpus, variant), SWEPT[variant], STEPS)


def test_what_is_off_is_not_read_and_changes_nothing_at_0(corpus):
    """The same run whether a rate is 0 or off; and a sweep over what is off is refused."""
    on = case(corpus, off=())._replace(axes={})
    off = case(corpus)._replace(axes={})
    params = [contract.run(some, STEPS, seeds=[0]).states.params for some in (on, off)]
    for one, other in zip(*map(jax.tree.leaves, params), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)
    with pytest.raises(UserError, match="--layer-dropout: nothing uses it"):
        contract.run(off._replace(axes={"layer_dropout": [0.0, 0.5]}), 1, seeds=[0])


def test_windows_follow_each_other_with_the_state_and_begin_anew_with_an_epoch(corpus):
    """With a learning rate of 0, the loss of an epoch is that of one long window."""
    problem = case(corpus).problem
    windows = updates_an_epoch(config(corpus), problem.shared)
    hparams = HParams(learning_rate=0.0)
    tried = contract.Case(problem, hparams, {})
    swept = contract.run(tried, 2 * windows, seeds=[0], chunk=2 * windows)
    loss = swept.metrics["loss"].to_numpy()
    np.testing.assert_allclose(loss[:windows], loss[windows:], rtol=1e-6)
    model = make_model(config(corpus), problem.shared.symbols)
    params = jax.tree.map(lambda leaf: leaf[0], swept.states.params)
    token = np.asarray(problem.shared.train[: windows * 5 + 1], np.int32)
    outputs = model.apply({"params": params}, token[:-1], model.start(4))
    out = outputs.out.reshape(-1, outputs.out.shape[-1])
    nll = token_nll(out, *model.softmax_params(params), token[1:].reshape(-1))
    np.testing.assert_allclose(loss[:windows], nll.reshape(windows, 20).mean(axis=1), rtol=1e-5)


def test_the_gradient_is_the_slope_of_the_loss(corpus):
    setting = config(corpus, "everything")
    shared = make_problem(setting).shared
    state = jax.jit(lambda key: init(setting, shared, NOISY, key))(jax.random.key(0))
    token = jnp.asarray(shared.train[:6])

    @jax.jit
    def loss(params):
        return window_loss(
            setting, shared.symbols, NOISY, params, token, state.carries, jax.random.key(1)
        )[0]

    check_grads(loss, (state.trained,), order=1, modes=["rev"], atol=2e-2, rtol=2e-2, eps=1e-2)


def test_a_loss_over_time_has_a_gradient_larger_by_the_window(corpus):
    shared = make_problem(config(corpus)).shared
    state = init(config(corpus), shared, HParams(), jax.random.key(0))
    grads = []
    for over in ("tokens", "time"):
        args = config(corpus, loss_over=over), shared.symbols, HParams()
        grad = jax.grad(lambda params: window_loss(
            *args, params, jnp.asarray(shared.train[:6]), state.carries, jax.random.key(1)  # noqa: B023
        )[0])  # fmt: skip
        grads.append(grad(state.params)["softmax_bias"])
    np.testing.assert_allclose(grads[1], 5 * grads[0], rtol=1e-5)


def test_a_penalty_on_params_pulls_each_towards_0(corpus):
    setting = config(corpus, off=())
    shared = make_problem(setting).shared
    state = init(setting, shared, HParams(), jax.random.key(0))

    def grad(hparams):
        loss = lambda params: window_loss(
            setting, shared.symbols, hparams, params, jnp.asarray(shared.train[:6]),
            state.carries, jax.random.key(1),
        )[0]  # fmt: skip
        return jax.grad(loss)(state.params)

    without, penalized = grad(HParams()), grad(HParams(l2_penalty=0.5))
    pull = jax.tree.map(jnp.subtract, penalized, without)
    for one, param in zip(*map(jax.tree.leaves, (pull, state.params)), strict=True):
        np.testing.assert_allclose(one, 0.5 * param, atol=1e-5)


@pytest.mark.parametrize("frozen", [False, True])
def test_embeddings_begin_with_the_vectors_and_may_stay_them(corpus, tmp_path, frozen):
    path = tmp_path / "vectors.txt"
    path.write_text("cat 1 2 3 4 5 6\nunseen 6 5 4 3 2 1\nthe 2 2 2 2 2 2\n")
    tried = case(corpus, level="word", glove=str(path), frozen=frozen)
    vectors = tried.problem.shared.vectors
    covered = tried.problem.facts["glove"]  # of 11 types, <eos> and <unk> among them
    assert covered == {
        "found": 2, "types": pytest.approx(2 / 11), "tokens": pytest.approx(3 / 11),
    }  # fmt: skip
    (note,) = tried.problem.notes
    assert "2 of the 11 words of the vocabulary have a vector, 27.3% of the training text" in note
    hparams = HParams(weight_decay=0.1)
    tried = tried._replace(hparams=hparams, axes={})
    start = init(config(corpus), tried.problem.shared, hparams, jax.random.key(0)).params
    np.testing.assert_array_equal(start["embedding"][vectors.found], vectors.table[vectors.found])
    params = contract.run(tried, 5, seeds=[0]).states.params
    moved = np.abs(params["embedding"][0][vectors.found] - vectors.table[vectors.found])
    assert (moved.max() == 0) == frozen
    assert np.abs(params["softmax"][0] - start["softmax"]).max() > 1e-3


@pytest.mark.parametrize("name", ["patience", "trigger_after"])
def test_validation_steers_each_run_for_itself(corpus, name):
    """Two runs, of which one makes no progress: its rate falls, its weights are averaged."""
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
        return
    assert states.trigger.lowest.shape == (2, MEMORY)
    assert states.trigger.begun.tolist() == [False, True]
    pairs = zip(*map(jax.tree.leaves, (states.params, states.trained)), strict=True)
    apart = [np.abs(leaf - other).reshape(2, -1).max(axis=1) for leaf, other in pairs]
    apart = np.max(apart, axis=0)
    assert apart[0] == 0
    assert apart[1] > 1e-3


@pytest.mark.parametrize(("streams", "context"), [(1, 0), (3, 60), (16, 60)])
def test_perplexity_does_not_depend_on_how_the_text_is_cut(corpus, streams, context):
    """Once every token is predicted, from all before it or from enough of them."""
    setting = config(corpus, eval_streams=streams, eval_context=context, window=8)
    shared = make_problem(setting).shared
    model = make_model(setting, shared.symbols)
    params = init(setting, shared, HParams(), jax.random.key(0)).params
    params = jax.tree.map(lambda leaf: 3 * leaf, params)
    found = float(heldout_nll(model, params, shared.validation, 8))
    whole = make_problem(config(corpus, eval_streams=1, eval_context=0)).shared.validation
    tokens = np.asarray(whole.tokens, np.int32)[: int(whole.counts.sum()) + 1]
    outputs = model.apply({"params": params}, tokens[:-1], model.start(1))
    out = outputs.out.reshape(-1, outputs.out.shape[-1])
    expected = float(token_nll(out, *model.softmax_params(params), tokens[1:, 0]).sum())
    assert found == pytest.approx(expected, rel=1e-5)


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


def test_it_learns_what_can_be_learned(corpus):
    """Within a word the next letter is sure but for a few: far below one bit is in reach, and what
    comes after a word is not."""
    setting = config(corpus, hidden=(48,), embedding_size=16, batch_size=8, window=20, epochs=12)
    problem = make_problem(setting)
    steps = problem.task.steps
    swept = sweep(
        problem.task, problem.shared, HParams(learning_rate=1e-2), 2, steps,
        cadence=Cadence(steps, steps, steps), devices=jax.local_devices()[:1],
    )  # fmt: skip
    bits = swept.metrics["validation_bits_per_character"].iloc[-2:]
    assert (bits < 1.3).all()
    assert (bits > 0.3).all()


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


@pytest.mark.parametrize("steps", [0, 400, 7])
def test_the_learning_rate_reaches_0_with_the_last_update_and_not_before(corpus, steps):
    """However many steps are asked for: fewer than the epochs have, more, or as many."""
    problem = make_problem(config(corpus, schedule="cosine", steps=steps))
    windows = updates_an_epoch(config(corpus), problem.shared)
    task, end = problem.task, steps or windows
    assert task.steps == end
    assert steps in (0, 7) or windows < steps
    hparams, key = HParams(learning_rate=1e-2), jax.random.key(0)
    step, state = jax.jit(task.step), jax.jit(task.init)(problem.shared, hparams, key)

    def moved(t):
        after, _ = step(problem.shared, hparams, state, jax.random.key(1), jnp.int32(t))
        old, new = (jax.tree.leaves(one.params) for one in (state, after))
        return max(float(np.abs(a - b).max()) for a, b in zip(old, new, strict=True))

    assert moved(0) == pytest.approx(1e-2, rel=0.01)  # what Adam begins with
    last = 1e-2 * np.sin(np.pi / 2 / end) ** 2
    assert 0 < moved(end - 1) == pytest.approx(last, rel=0.01, abs=3e-7)  # params are rounded
    assert moved(end) == 0
