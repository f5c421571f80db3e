"""What a program launches, counted by hand in a small program of each kind of instruction."""

import jax
import jax.numpy as jnp
import pytest

from research.accelerators.launches import Launches, count_launches

PROGRAM = """
HloModule jit_step, is_scheduled=true

%fused (p: f32[8]) -> f32[8] {
  %p = f32[8]{0} parameter(0)
  ROOT %add.1 = f32[8]{0} add(%p, %p)
}

%body (carry: (s32[], f32[8])) -> (s32[], f32[8]) {
  %carry = (s32[], f32[8]{0}) parameter(0)
  %x = f32[8]{0} get-tuple-element(%carry), index=1
  %copy.1 = f32[8]{0} copy(%x)
  %start = ((f32[8]{0}), f32[8]{0}) fusion-start(%copy.1), kind=kLoop, calls=%fused
  %done = f32[8]{0} fusion-done(%start)
  %gemm = f32[8]{0} custom-call(%done), custom_call_target="__cublas$gemm"
  ROOT %out = (s32[], f32[8]{0}) tuple(%i, %gemm)
}

%ended (carry: (s32[], f32[8])) -> pred[] {
  %carry = (s32[], f32[8]{0}) parameter(0)
  ROOT %compare = pred[] fusion(%carry), kind=kLoop, calls=%fused
}

%outer (carry: (s32[], f32[8])) -> (s32[], f32[8]) {
  %carry = (s32[], f32[8]{0}) parameter(0)
  ROOT %inner = (s32[], f32[8]{0}) while(%carry), condition=%ended, body=%body, LOOP
}

%small (p: f32[8]) -> f32[8] {
  ROOT %p = f32[8]{0} parameter(0)
}

%called (p: f32[8]) -> f32[8] {
  ROOT %f = f32[8]{0} fusion(%p), kind=kLoop, calls=%fused
}

ENTRY %main (a: f32[8]) -> f32[8] {
  %a = f32[8]{0} parameter(0)
  %c = f32[8]{0} conditional(%a), branch_computations={%small, %called}
  %d = f32[8]{0} call(%c), to_apply=%called
  ROOT %loop = (s32[], f32[8]{0}) while(%d), condition=%ended, body=%outer, \
backend_config={"known_trip_count":{"n":"5"}}
}
"""


@pytest.mark.parametrize(
    ("loop", "expected"),
    [
        # The body launches two kernels and a copy; a look at an end that is not known is one, too.
        ('backend_config={"known_trip_count":{"n":"10"}}', Launches(2 + 5 * 10 * 2, 50, 0)),
        ("metadata={}", Launches(2 + 5 * (2 + 1), 5, 1)),
    ],
)
def test_loops_of_known_length_are_multiplied_out_and_others_wait(loop, expected):
    assert count_launches(PROGRAM.replace("LOOP", loop)) == expected


ON_A_TPU = """
HloModule jit_step, is_scheduled=true

%step (carry: (s32[], f32[8])) -> (s32[], f32[8]) {
  %carry = (s32[]{:T(128)}, /*index=1*/f32[8]{0:T(128)}) parameter(0)
  %x = f32[8]{0:T(128)} get-tuple-element(%carry), index=1
  %y = f32[8]{0:T(128)} fusion(%x), kind=kLoop, calls=%f, \
backend_config={"window_config":{"estimated_cycles":"300"}}
  %start = (f32[8]{0:T(128)S(1)}, f32[8]{0:T(128)}, u32[]{:S(2)}) copy-start(%y)
  ROOT %out = (s32[]{:T(128)}, f32[8]{0:T(128)}) tuple(%i, %y)
}

%end (carry: (s32[], f32[8])) -> pred[] {
  %constant.1 = s32[]{:T(128)} constant(20), metadata={op_name="x"}
  %carry = (s32[]{:T(128)}, /*index=1*/f32[8]{0:T(128)}) parameter(0)
  %i = s32[]{:T(128)} get-tuple-element(%carry), index=0
  ROOT %lt = pred[]{:T(512)} compare(%i, %constant.1), direction=LT
}

ENTRY %main (a: f32[8]) -> f32[8] {
  %a = f32[8]{0:T(128)} parameter(0)
  %c = f32[8]{0:T(128)} copy(%a), backend_config={"window_config":{"estimated_cycles":"7"}}
  ROOT %loop = (s32[]{:T(128)}, f32[8]{0:T(128)}) while(%c), condition=%end, body=%step
}
"""


@pytest.mark.parametrize(("ends", "cycles"), [("LT", 7 + 20 * 300), ("NE", 7 + 300)])
def test_cycles_of_a_tpu_are_added_up_over_loops_that_count_to_a_constant(ends, cycles):
    assert count_launches(ON_A_TPU.replace("LT", ends)).cycles == cycles


def test_a_program_of_this_jax_is_read():
    """The scan runs 7 times, whatever a backend makes of its body."""

    def step(x, _):
        return jnp.sin(x) @ x, None

    compiled = jax.jit(lambda x: jax.lax.scan(step, x, length=7)[0])
    counted = count_launches(compiled.lower(jnp.eye(8)).compile().as_text())
    assert counted.waits == 0
    assert counted.kernels >= 7
