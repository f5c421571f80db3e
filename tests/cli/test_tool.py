"""Tests of what all tools for run folders have in common."""

import importlib
import math

import pytest

from research.errors import UserError


@pytest.mark.parametrize(
    ("tool", "changes", "says"),
    [
        ("lm.tools.sample", {"top_k": 2**31}, "--top-k 2147483648: must be at most"),
        ("lm.tools.sample", {"top_p": 1e-50}, "--top-p 1e-50: a float32 holds nothing"),
        (
            "lm.tools.sample",
            {"temperature": math.inf},
            "--temperature inf: must be a finite number",
        ),
        ("lm.tools.sample", {"tokens": 2**63}, "--tokens 9223372036854775808: must be at most"),
        ("lm.tools.sample", {"seed": 2**32}, "--seed 4294967296: must be between 0 and"),
        ("dqn.tools.watch", {"seed": -1}, "--seed -1: must be between 0 and"),
        ("dqn.tools.watch", {"steps": 2**31}, "--steps 2147483648: must be at most"),
        ("mlp.tools.attack", {"seed": 2**64}, "--seed 18446744073709551616: must be between 0 and"),
        ("mlp.tools.attack", {"radius": (0.1, 1e39)}, "--radius 1e.39: a float32 holds at most"),
        ("mlp.tools.attack", {"radius": (math.nan,)}, "--radius nan: must be a finite number"),
        ("mlp.tools.attack", {"rows": 2**31}, "--rows 2147483648: must be at most"),
        ("mlp.tools.explain", {"top": 2**63}, "--top 9223372036854775808: must be at most"),
        ("mlp.tools.explain", {"repeats": 0}, "--repeats 0: must be at least 1"),
        ("lm.tools.perplexity", {"window": 2**31}, "--window 2147483648: must be at most"),
        ("lm.tools.perplexity", {"rate": math.nan}, "--rate nan: must be a finite number"),
        ("lm.tools.perplexity", {"epsilon": 0.0}, "--epsilon 0.0: must be above 0"),
        ("lm.tools.perplexity", {"decay": math.nan}, "--decay nan: must be a finite number"),
    ],
)
def test_numbers_given_to_the_tools_are_checked_before_a_folder_is_read(tool, changes, says):
    module = importlib.import_module(f"research.{tool}")
    with pytest.raises(UserError, match=says):
        module.main(module.Arguments("no such folder", **changes))
