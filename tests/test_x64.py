"""Tests that every workload trains the same with `JAX_ENABLE_X64=1` as without.

A number whose type is not named has 64 bits there: other random bits, other roundings, and hashes
that never end. So functions are traced in both modes: what goes in and comes out has the same
types, no floating-point number of 64 bits is made in between, and no 64 random bits are drawn. Two
are run, too, and give the same bits.
"""

from collections import Counter
from functools import cache, partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research import dqn, lm, mlp
from research.dqn import pqn
from research.dqn.environments import make_environment
from research.dqn.replay import action_of
from research.dqn.watching import play_one
from research.engine.axes import make_runs
from research.engine.chunk import evaluate_runs, init_runs, make_keys, start_status, train_chunk
from research.lm.data import Heldout
from research.lm.dynamic import Rule, dynamic_nlls, gradient_rms
from research.lm.model import LanguageModel
from research.lm.sampling import SamplingRule, restrict
from research.mlp.attribution import explain, permutation_importance
from research.mlp.data import load
from research.mlp.robustness import robustness
from research.mlp.task import predictions
from tests.dqn import test_pqn
from tests.dqn import test_task as test_dqn
from tests.lm import cases as lm_cases
from tests.mlp import cases as mlp_cases

WIDE = ("int64", "uint64", "float64")
VARIANTS = [
    *(("mlp", name) for name in mlp_cases.VARIANTS),
    *(("dqn", name) for name in test_dqn.VARIANTS),
    *(("lm", name) for name in (*lm_cases.VARIANTS, "glove")),
    ("pqn", ""),
]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    random = np.random.default_rng(0)
    lines = [" ".join(random.permutation(lm_cases.TEXT.split())) for _ in range(100)]
    (folder / "text.txt").write_text("\n".join(lines) + "\n")
    (folder / "vectors.txt").write_text("cat 1 2 3 4 5 6\nmat .1 .2 .3 .4 .5 .6\n")
    return folder


def make_case(corpus, workload, variant):
    """Makes a case anew, so that no data or environment is kept from the other mode."""
    for kept in (load, make_environment, *(one.make_task for one in (mlp, dqn, pqn, lm))):
        kept.cache_clear()
    if workload == "lm":
        text, vectors = str(corpus / "text.txt"), str(corpus / "vectors.txt")
        if variant == "glove":
            return lm_cases.case(text, level="word", glove=vectors)
        return lm_cases.case(text, variant)
    if workload == "pqn":
        return test_pqn.case()
    return {"mlp": mlp_cases, "dqn": test_dqn}[workload].case(variant)


def in_both_modes(function):
    with jax.enable_x64(True):
        wide = function()
    return function(), wide


def types(tree):
    return jax.tree.map(lambda leaf: (leaf.shape, str(leaf.dtype)), tree)


def wide_numbers(jaxpr):
    """The operations of a program that give 64-bit floating-point numbers or random bits."""
    found = Counter()
    for equation in jaxpr.eqns:
        name = equation.primitive.name
        for made in equation.outvars:
            kind = str(getattr(made.aval, "dtype", ""))
            if kind == "float64" or (kind == "uint64" and name == "random_bits"):
                found[f"{kind} {name}"] += 1
        for inner in jax.tree.leaves(list(equation.params.values()), is_leaf=is_jaxpr):
            if is_jaxpr(inner):
                found += wide_numbers(getattr(inner, "jaxpr", inner))
    return found


def is_jaxpr(value):
    return hasattr(value, "eqns") or hasattr(value, "jaxpr")


def traced(function, *args):
    """The types that a function returns, after checking its operations."""
    trace = jax.jit(function).trace(*args)
    assert not wide_numbers(trace.jaxpr.jaxpr)
    return trace.out_info


def no_type_of_64_bits(look):
    """The types that `look` returns with 64-bit types enabled."""
    with jax.enable_x64(True):
        wide = look()
    assert not [leaf for leaf in jax.tree.leaves(wide) if str(leaf) in WIDE]
    return wide


def look_at_task(corpus, workload, variant):
    case = make_case(corpus, workload, variant)
    task, shared, key = case.problem.task, case.problem.shared, jax.random.key(0)
    hparams = jax.tree.map(np.float32, case.hparams)
    state = traced(task.init, shared, hparams, key)
    stepped = traced(task.step, shared, hparams, state, key, np.int32(0))
    evaluated = traced(task.evaluate, shared, hparams, state, key)
    return types((shared, state, stepped, evaluated))


@cache
def wide_types(corpus, workload, variant):
    """What `look_at_task` returns with 64-bit types enabled; traced once for two tests."""
    return no_type_of_64_bits(lambda: look_at_task(corpus, workload, variant))


@pytest.mark.parametrize(("workload", "variant"), VARIANTS)
def test_a_task_has_no_type_of_64_bits(corpus, workload, variant):
    found = wide_types(corpus, workload, variant)
    assert found[1] == found[2][0]  # a state stays what it is


@pytest.mark.slow
@pytest.mark.parametrize(("workload", "variant"), VARIANTS)
def test_a_task_has_the_same_types(corpus, workload, variant):
    assert look_at_task(corpus, workload, variant) == wide_types(corpus, workload, variant)


def test_the_engine_has_no_type_of_64_bits(corpus):
    def look():
        case = make_case(corpus, "mlp", "plain")
        task, shared = case.problem.task, case.problem.shared
        runs = make_runs(case.hparams, case.axes, [0, 1])
        keys, status = traced(make_keys, runs.seeds), start_status(len(runs))
        states = traced(partial(init_runs, task), shared, runs.hparams, runs.seeds)
        train, t = partial(train_chunk, task, 2, 3), np.int32(0)
        trained = traced(train, shared, runs.hparams, states, status, keys.step, t)
        assert types(trained[0]) == types(states)
        evaluate = partial(evaluate_runs, task)
        evaluated = traced(evaluate, shared, runs.hparams, states, status, keys.evaluate, t)
        return types((keys, trained, evaluated))

    no_type_of_64_bits(look)


@pytest.mark.slow
def test_an_mlp_learns_the_same_from_the_same_rows(corpus):
    def learn():
        case = make_case(corpus, "mlp", "plain")
        task, shared = case.problem.task, case.problem.shared
        hparams = jax.tree.map(np.float32, case.hparams)

        @jax.jit
        def first_step(shared, begin, key):
            state = task.init(shared, hparams, begin)
            return state, task.step(shared, hparams, state, key, np.int32(0))

        return jax.device_get(first_step(shared, jax.random.key(0), jax.random.key(1)))

    chex.assert_trees_all_equal(*in_both_modes(learn))


@pytest.mark.slow
def test_an_agent_acts_the_same(corpus):
    """Its first steps, which are in the replay buffer, are random."""

    def act():
        case = make_case(corpus, "dqn", "plain")
        task, shared = case.problem.task, case.problem.shared
        hparams = jax.tree.map(np.float32, case.hparams)
        return jax.device_get(jax.jit(task.init)(shared, hparams, jax.random.key(0)))

    plain, wide = in_both_modes(act)
    chex.assert_trees_all_equal(plain, wide)
    assert 0.2 < action_of(plain.replay.moves)[: test_dqn.CONFIG.learning_starts].mean() < 0.8


def test_tools_of_an_mlp_have_no_type_of_64_bits(corpus):
    def look():
        case = make_case(corpus, "mlp", "plain")
        shared, key = case.problem.shared, jax.random.key(0)
        config = mlp.fit_to(mlp_cases.CONFIG, shared)
        params = jax.eval_shape(case.problem.task.init, shared, case.hparams, key).params
        members = np.eye(13, dtype=bool)
        radii = jnp.array([0.1, 0.2], jnp.float32)
        attacked = lambda p, k: robustness(config, shared, p, shared.test, radii, 2, k)
        return types((
            traced(lambda p: explain(config, shared, p, shared.test, 64), params),
            traced(
                lambda p, k: permutation_importance(config, shared, p, shared.test, members, 2, k),
                params, key,
            ),
            traced(attacked, params, key),
            traced(lambda p: predictions(config, shared, p, shared.test.x), params),
        ))  # fmt: skip

    no_type_of_64_bits(look)


def test_tools_of_a_language_model_have_no_type_of_64_bits():
    def look():
        model = LanguageModel(symbols=9, embedding_size=6, hidden=(5,))
        token, key = jnp.zeros((3, 2), jnp.int32), jax.random.key(0)
        params = jax.eval_shape(model.init, key, token, model.start(2))["params"]
        text = np.zeros((7, 2), np.uint16)
        heldout = Heldout(text, np.ones((6, 2), np.float32), np.float32(9))

        def learn(params):
            rule = Rule(0.1, 0.1, gradient_rms(model, params, text, 3))
            return dynamic_nlls(model, params, heldout, 3, rule)

        choice = SamplingRule(0.5, 3, 0.9)
        logits = jnp.zeros(9, jnp.float32)
        return types((traced(learn, params), traced(lambda x: restrict(x, choice), logits)))

    no_type_of_64_bits(look)


def play(corpus):
    make_case(corpus, "dqn", "plain")
    env = make_environment("CartPole-v1")
    values = lambda observation: observation[:, :2]
    return lambda key: play_one(env, env.params, values, np.float32(0.1), key, 8)


def test_an_episode_to_watch_has_no_type_of_64_bits(corpus):
    no_type_of_64_bits(lambda: types(play(corpus)(jax.random.key(3)).states))


@pytest.mark.slow
def test_an_episode_to_watch_is_the_same(corpus):
    plain, wide = in_both_modes(lambda: play(corpus)(jax.random.key(3)))
    jax.tree.map(np.testing.assert_array_equal, plain, wide)
    assert types(plain.states) == types(wide.states)
