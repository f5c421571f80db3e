"""The convolution against XLA's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research.layers import Conv3x3


@pytest.mark.parametrize(("pad", "padding"), [(False, "VALID"), (True, "SAME")])
def test_it_is_xlas(pad, padding):
    x = jax.random.normal(jax.random.key(0), (5, 7, 10, 4))
    ours = Conv3x3(16, pad)
    params = {**ours.init(jax.random.key(1), x)["params"], "bias": jnp.arange(16.0)}
    kernel = params["kernel"].reshape(3, 3, 4, 16)
    expected = jax.lax.conv_general_dilated(
        x, kernel, (1, 1), padding, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    expected += params["bias"][None, None, None]
    np.testing.assert_allclose(ours.apply({"params": params}, x), expected, atol=1e-5)
