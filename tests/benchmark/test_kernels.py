"""Tests of classifying kernels from the HLO text of a compiled program."""

import jax
import jax.numpy as jnp
import pytest

from research.benchmark import kernels
from research.benchmark.kernels import read_kernels

HLO = """
HloModule jit_train, is_scheduled=true

%fused_dot (p: f32[8,4], q: f32[4,2]) -> f32[8,2] {
  %p = f32[8,4]{1,0} parameter(0)
  %q = f32[4,2]{1,0} parameter(1)
  %dot.1 = f32[8,2]{1,0} dot(%p, %q), metadata={op_name="jit(train)/shard_map/while/body/closed_call/vmap(jvp(MLP))/Dense_0/dot_general"}
  ROOT %exp.1 = f32[8,2]{1,0} exponential(%dot.1), metadata={op_name="jit(train)/exp"}
}

%moved (p: f32[8,4]) -> f32[4,8] {
  %p = f32[8,4]{1,0} parameter(0)
  ROOT %transpose.1 = f32[4,8]{0,1} transpose(%p), dimensions={1,0}
}

%hash (p: (s32[], u32[4])) -> (s32[], u32[4]) {
  %word = u32[4]{0} get-tuple-element(%p), index=1
  %xor.1 = u32[4]{0} xor(%word, %word), metadata={op_name="jit(train)/jit(_threefry_split)/while/body/xor"}
  %copy.7 = u32[4]{0} copy(%xor.1)
  ROOT %tuple.1 = (s32[], u32[4]{0}) tuple(%word, %copy.7)
}

ENTRY %main (a: f32[8,4]) -> f32[8,2] {
  %a = f32[8,4]{1,0} parameter(0)
  %fusion.1 = f32[8,2]{1,0} fusion(%a, %a), kind=kLoop, calls=%fused_dot, metadata={op_name="jit(train)/exp"}
  %fusion.2 = f32[4,8]{0,1} fusion(%a), kind=kLoop, calls=%moved
  %gather.3 = f32[8,2]{1,0} gather(%a, %a), metadata={op_name="jit(train)/shard_map/while/body/closed_call/vmap()/gather"}
  %reduce.4 = f32[8]{0} reduce(%a, %zero), dimensions={1}, to_apply=%add
  %call.5 = (f32[8,2]{1,0}, s8[64]{0}) custom-call(%a, %a), custom_call_target="__cublas$gemm"
  %while.6 = (s32[], u32[4]{0}, /*index=2*/f32[2]) while(%tuple.9), condition=%less, body=%hash
  %rng.7 = u32[4]{0} custom-call(%a), custom_call_target="cu_threefry2x32_ffi", metadata={op_name="jit(train)/threefry2x32"}
  ROOT %add.8 = f32[8,2]{1,0} add(%fusion.1, %gather.3)
}
"""  # noqa: E501


@pytest.fixture(scope="module")
def found():
    return read_kernels(HLO)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("fusion.1", kernels.MATRIX_PRODUCTS),
        ("fusion.2", kernels.COPIES),
        ("gather.3", kernels.GATHERS),
        ("reduce.4", kernels.REDUCTIONS),
        ("call.5", kernels.MATRIX_PRODUCTS),
        ("while.6", kernels.CONTROL),
        ("rng.7", kernels.RANDOM),
        ("add.8", kernels.ELEMENTWISE),
        ("xor.1", kernels.RANDOM),
        ("copy.7", kernels.RANDOM),  # without a name, in a loop that draws
    ],
)
def test_the_kind_of_a_kernel_follows_from_its_instructions(found, name, kind):
    assert found[name].kind == kind


def test_a_kernel_is_named_by_its_matrix_product_without_the_engines_prefixes(found):
    assert found["fusion.1"].source == "vmap(jvp(MLP))/Dense_0/dot_general"
    assert found["gather.3"].source == "gather"
    assert found["fusion.1"].shape == "f32[8,2]"
    assert found["call.5"].shape == "f32[8,2]"


def test_kernels_of_a_program_compiled_here_are_classified():
    def step(x, key):
        noise = jax.random.normal(key, x.shape)
        return jnp.tanh(x @ x.T) @ noise

    text = jax.jit(step).lower(jnp.ones((32, 32)), jax.random.key(0)).compile().as_text()
    kinds = [kernel.kind for kernel in read_kernels(text).values()]
    assert kinds.count(kernels.MATRIX_PRODUCTS) >= 2
    assert kernels.RANDOM in kinds
