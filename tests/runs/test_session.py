"""Tests of what the manifest records of machine, packages and code."""

from research.runs import session


def test_the_record_names_the_packages_that_numbers_depend_on():
    versions = session.versions()
    assert {"python", "jax", "jaxlib", "flax", "optax", "numpy"} <= set(versions)
    facts = session.device_facts()
    assert (facts["platform"], facts["count"]) == ("cpu", 8)


def test_no_commit_is_named_where_there_is_no_checkout(tmp_path):
    assert session.git_commit(tmp_path) is None
