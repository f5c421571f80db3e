"""The corpus of the tests of the language model."""

import numpy as np
import pytest

from tests.lm.cases import TEXT


@pytest.fixture(scope="session")
def corpus(tmp_path_factory):
    """100 lines of which each is a shuffle of the words of one."""
    random = np.random.default_rng(0)
    lines = [" ".join(random.permutation(TEXT.split())) for _ in range(100)]
    path = tmp_path_factory.mktemp("corpus") / "text.txt"
    path.write_text("\n".join(lines) + "\n")
    return str(path)
