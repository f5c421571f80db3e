"""Tests of `load_run`: a run folder in Python."""

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

from research.errors import UserError
from research.report import TrainedRun, load_run

GROUPS = [{"first_run": 0, "runs": 8, "goal": None}]


def test_metrics_scores_and_settings_are_tables(make_run):
    run = load_run(make_run())
    assert len(run.metrics) == 24
    assert run.metrics["validation_score"].dtype == np.float64
    assert run.metrics["validation_score"].isna().sum() == 8 + 2  # step 2, and the diverged run
    assert run.scores["run"].tolist() == [0, 1, 2, 3, 4, 5, 6]
    assert run.scores["validation_score"].tolist() == [30, 31, 32, 33, 34, 35, 36]
    assert run.settings["rate"].tolist() == [0.2, 0.1]  # a run in four may diverge
    assert run.settings["diverged"].tolist() == [1, 0]
    assert run.settings["median"].tolist() == [35, 31.5]
    assert (run.seeds, run.hparams, run.config) == ([0, 1, 2, 3], {}, {})


def test_two_settings_are_compared_seed_by_seed(make_sweep):
    run = load_run(make_sweep(np.arange(12).reshape(2, 6, 1)))
    found = run.compare({"rate": 0.2}, {"rate": 0.1})
    assert (found.verdict, found.pairs, float(found.difference.estimate)) == ("better", 6, 6)
    assert run.compare({"rate": 0.2}, {"rate": 0.1}, "loss").verdict == "better"  # lower
    with pytest.raises(UserError, match=r"'rate': 0.3.*: no setting has these; there are: rate 0"):
        run.compare({"rate": 0.3}, {"rate": 0.1})
    with pytest.raises(UserError, match=r"{}: several settings have these: rate 0.1; rate 0.2$"):
        run.compare({}, {"rate": 0.1})


def test_a_run_that_diverged_counts_as_the_worst_in_comparisons(make_run):
    """Without it, setting 0.2 would be better by 4 in every pair."""
    found = load_run(make_run()).compare({"rate": 0.2}, {"rate": 0.1})
    assert float(found.improvement.estimate) == pytest.approx((12 + 0.5) / 16)


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (8, "run 8: .* has the runs 0 to 7"),
        (-1, "run -1: .* has the runs 0 to 7"),
        (7, "run 7 of .* diverged at step 3: give another"),
        (3, "has no params of run 3: they are written when it has ended"),
        ("best", "has no params of run 6: they are written"),
        ("worst", "run 'worst': give the number of a run, or \"best\""),
    ],
)
def test_a_run_that_cannot_be_used_is_refused_in_a_line(make_run, asked, says):
    with pytest.raises(UserError, match=says):
        load_run(make_run()).trained(asked)


def test_a_missing_folder_is_refused(tmp_path):
    with pytest.raises(UserError, match="is no run folder: it has no manifest"):
        load_run(tmp_path / "nothing")


def test_runs_of_two_problems_have_no_best(make_run):
    groups = [{"first_run": first, "runs": 4, "goal": None, "env": env}
              for first, env in ((0, "A"), (4, "B"))]  # fmt: skip
    data = [{"environment": env} for env in ("A", "B")]
    run = load_run(make_run(config_axes={"env": ["A", "B"]}, groups=groups, data=data))
    assert run.settings["problem"].tolist() == ["A", "B"]
    with pytest.raises(UserError, match="has runs of 'A', 'B', which are not compared"):
        run.trained("best")


def test_the_tables_of_tools_are_there_and_no_link_is_followed(make_run, tmp_path):
    folder = make_run()
    (folder / "evaluation").mkdir()
    pd.DataFrame({"run": [0]}).to_parquet(folder / "evaluation" / "scores.parquet")
    assert load_run(folder).evaluations["scores"]["run"].tolist() == [0]
    (folder / "evaluation" / "scores.parquet").write_bytes(b"PAR1")
    with pytest.raises(UserError, match=r"scores\.parquet is damaged"):
        load_run(folder)


def test_an_agent_acts(small_sweep):
    run = load_run(small_sweep("dqn").folder)
    agent = run.trained(2)
    assert (agent.run.number, agent.hparams.env_gravity) == (2, 20)
    observations = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    values = agent.q_values(observations)
    assert values.shape == (3, 2)
    outputs = agent.network.apply(agent.params, observations)  # Flax alone
    np.testing.assert_allclose(values, outputs[..., 0], rtol=1e-5)
    np.testing.assert_allclose(agent.q_values(observations[0]), values[0], rtol=1e-5)
    assert agent.policy(observations).tolist() == values.argmax(axis=1).tolist()
    assert agent.policy(observations[1]) == values[1].argmax()
    returns = agent.returns(episodes=6, seed=1)
    assert returns.shape == (6,)
    assert ((returns >= 1) & (returns <= 500) & (returns % 1 == 0)).all()
    np.testing.assert_array_equal(agent.returns(episodes=6, seed=1), returns)
    assert (agent.returns(episodes=6, seed=2) != returns).any()
    with pytest.raises(UserError, match="episodes 0: must be at least 1"):
        agent.returns(episodes=0)
    with pytest.raises(UserError, match=r"an observation of CartPole-v1 is \[4\], not \[3\]"):
        agent.policy(observations[0, :3])


def test_a_net_predicts_the_rows_of_a_table_as_it_was_evaluated(small_sweep):
    from sklearn.datasets import load_wine

    run = load_run(small_sweep("mlp").folder)
    net = run.trained("best")
    table = load_wine(as_frame=True)
    places = net.trained.facts["rows"]["validation"]
    rows = table.data.iloc[places]
    right = net.predict(rows) == np.array(net.classes)[table.target.iloc[places]]
    best = run.scores[run.scores["run"] == net.run.number].iloc[0]
    assert right.mean() == pytest.approx(best["validation_accuracy"])
    logits = net.model.apply(net.params, jnp.asarray(net.encode(rows)))
    np.testing.assert_allclose(jax.nn.softmax(logits), net.probabilities(rows), atol=1e-5)
    with pytest.raises(UserError, match="the table has no column alcohol"):
        net.predict(rows.drop(columns="alcohol"))
    with pytest.raises(UserError, match=r"object \[2, 13\]: give a DataFrame or column -> values,"):
        net.predict(rows.head(2).astype(object).to_numpy())
    with pytest.raises(
        UserError, match=r"float64 \[13\]: give .* or encoded rows: numbers \[rows, 13"
    ):
        net.predict(rows.iloc[0].to_numpy())
    assert (net.predict(net.encode(rows)) == net.predict(rows)).all()


def test_a_regression_predicts_in_the_unit_of_its_target(small_sweep):
    from sklearn.datasets import load_diabetes

    run = load_run(small_sweep("regression").folder)
    net, table = run.trained(1), load_diabetes(as_frame=True, scaled=False)
    shared = net.trained.shared
    error = net.predict(shared.test.x) - (shared.test.y * shared.target_scale + shared.target_mean)
    last = run.scores[run.scores["run"] == 1].iloc[0]
    assert np.sqrt(np.mean(np.square(error))) == pytest.approx(last["test_rmse"], rel=1e-4)
    assert table.target.min() < net.predict(shared.test.x).mean() < table.target.max()
    with pytest.raises(UserError, match="run 1 is a regression: it has no probabilities"):
        net.probabilities(shared.test.x)


def test_a_language_model_writes_and_predicts(small_sweep):
    run = load_run(small_sweep("lm").folder)
    model = run.trained("best")
    text = model.sample("the cat ", tokens=20, seed=3)
    assert text.startswith("the cat ")
    assert len(text) == 28
    assert model.sample("the cat ", tokens=20, seed=3) == text
    known, strange = model.perplexity("the cat sat on the mat\n"), model.perplexity("tttt\n")
    assert 1 < known < strange
    bits = model.bits_per_character("the cat sat on the mat\n")
    assert bits == pytest.approx(np.log2(known))  # a character is a token
    with pytest.raises(UserError, match="the text is empty"):
        model.perplexity("")


@pytest.mark.parametrize("name", ["dqn", "mlp", "lm"])
def test_a_notebook_shows_a_trained_run_in_a_line(small_sweep, name):
    trained = load_run(small_sweep(name).folder).trained("best")
    params = sum(map(np.size, jax.tree.leaves(trained.params)))
    run, shown = trained.run, repr(trained)
    assert shown.startswith(f"<{type(trained).__name__}: run {run.number}, seed {run.seed}, score ")
    assert shown.endswith(f", {params:,} params>")
    other = TrainedRun(run, trained.params)
    assert repr(other) == shown.replace(type(trained).__name__, "TrainedRun")
