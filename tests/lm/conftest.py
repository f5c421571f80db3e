"""The corpus on which tests train language models."""

import numpy as np
import pytest

from tests.lm.cases import TEXT


@pytest.fixture(scope="session")
def corpus(tmp_path_factory):
    """A text of 100 lines, each a shuffle of the same words."""
    random = np.random.default_rng(0)
    lines = [" ".join(random.permutation(TEXT.split())) for _ in range(100)]
    path = tmp_path_factory.mktemp("corpus") / "text.txt"
    path.write_text("\n".join(lines) + "\n")
    return str(path)
