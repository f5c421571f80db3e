"""Instructions that make a whole array, found in a small program written by hand."""

import pytest

from research.accelerators.whole_arrays import whole_arrays

PROGRAM = """
HloModule jit_step, is_scheduled=true

%write (ring: f32[4,100], row: f32[4,1], at: s32[]) -> f32[400] {
  %ring = f32[4,100]{1,0} parameter(0)
  %row = f32[4,1]{1,0} parameter(1)
  %at = s32[] parameter(2)
  %zero = s32[] constant(0)
  %dynamic-update-slice.1 = f32[4,100]{1,0} dynamic-update-slice(%ring, %row, %zero, %at)
  ROOT %bitcast.1 = f32[400]{0} bitcast(%dynamic-update-slice.1)
}

%two (ring: f32[4,100], row: f32[4,1]) -> (f32[4,100], f32[4,1]) {
  %ring = f32[4,100]{1,0} parameter(0)
  %row = f32[4,1]{1,0} parameter(1)
  %inside = f32[4,100]{1,0} multiply(%ring, %ring)
  %scatter.1 = f32[4,100]{1,0} scatter(%ring, %row, %row), to_apply=%add
  %small = f32[4,1]{1,0} negate(%row)
  ROOT %both = (f32[4,100]{1,0}, f32[4,1]{1,0}) tuple(%scatter.1, %small)
}

%body (carry: (s32[], f32[4,100])) -> (s32[], f32[4,100]) {
  %carry = (s32[], /*index=1*/f32[4,100]{1,0}) parameter(0)
  %x = f32[4,100]{1,0} get-tuple-element(%carry), index=1
  %w = f32[400]{0} fusion(%x, %row, %at), kind=kLoop, calls=%write
  %b = f32[4,100]{1,0} bitcast(%w)
  %t = (f32[4,100]{1,0}, f32[4,1]{1,0}) fusion(%b, %row), kind=kInput, calls=%two
LINE
  ROOT %out = (s32[], f32[4,100]{1,0}) tuple(%i, %b)
}

ENTRY %main (a: f32[4,100]) -> f32[4,100] {
  %a = f32[4,100]{1,0} parameter(0)
  ROOT %loop = (s32[], f32[4,100]{1,0}) while(%a), condition=%ended, body=%body
}
"""


def found(line="", changes=("", "")):
    return whole_arrays(PROGRAM.replace("LINE", "  " + line).replace(*changes), {400, 12})


def test_an_array_of_another_shape_may_be_copied_though_it_has_that_size():
    line = "%copy.1 = f32[4,25,4]{2,1,0} copy(%tree)"
    assert found(line) == ["copy copy.1"]
    assert whole_arrays(PROGRAM.replace("LINE", f"  {line}"), {400}, [(4, 25, 4)]) == []
    line = "%both.1 = (f32[4,25,4]{2,1,0}, f32[4,100]{1,0}) custom-call(%tree)"
    assert whole_arrays(PROGRAM.replace("LINE", f"  {line}"), {400}, [(4, 25, 4)]) == [
        "custom-call both.1"
    ]


def test_updates_in_place_and_what_passes_an_array_on_are_allowed():
    assert found() == []


@pytest.mark.parametrize(
    ("line", "instruction"),
    [
        ("%copy.7 = f32[4,100]{0,1} copy(%x)", "copy copy.7"),
        ("%copy.8 = f32[100,4]{0,1} copy(%x)", "copy copy.8"),
        ("%t.1 = f32[4,3]{1,0} transpose(%y)", "transpose t.1"),
        ("%call = f32[400]{0} custom-call(%x)", "custom-call call"),
    ],
)
def test_a_copy_in_any_shape_is_found(line, instruction):
    assert found(line) == [instruction]


def test_what_a_tpu_stages_in_its_fast_memory_is_no_copy():
    moved = "(f32[4,100]{1,0:S(1)}, f32[4,100]{1,0}, u32[]{:S(2)})"
    assert found(f"%start = {moved} copy-start(%x)") == []
    parts = '%all = f32[4,100]{1,0:S(1)} custom-call(%p, %q), custom_call_target="ConcatBitcast"'
    assert found(parts) == []


def test_other_sizes_are_of_no_interest():
    assert found("%copy.9 = f32[4,99]{1,0} copy(%x)") == []


def test_a_fusion_that_rewrites_the_array_is_found_by_what_it_returns():
    """Inside a fusion nothing is kept: only its results are arrays."""
    assert found(changes=("tuple(%scatter.1, %small)", "tuple(%inside, %small)")) == ["fusion t"]
    assert found(changes=("bitcast(%dynamic-update-slice.1)", "negate(%ring)")) == ["fusion w"]
