"""The race of caches: four ways to store, every length, in and out of the processor's caches."""

import pytest

from workbench import kernels
from workbench.lm.attention_speed import race_attention

pytestmark = pytest.mark.skipif(
    not kernels.status("decoder_attention").compiled, reason="the kernels are not compiled"
)


@pytest.mark.parametrize("layers", [1, 3])
def test_every_store_at_every_length(layers):
    laps = race_attention((5, 200), layers=layers, heads=4, kv_heads=2, head_dim=16, seconds=0.05)
    assert [(lap.tokens, lap.store) for lap in laps] == [
        (tokens, store)
        for tokens in (5, 200)
        for store in ("f32 compiled", "f32 BLAS", "int8", "ternary")
    ]
    for lap in laps:
        assert 0 < lap.min_s <= lap.median_s <= lap.max_s
        assert lap.ratio_min <= lap.ratio <= lap.ratio_max
    nbytes = {lap.store: lap.nbytes for lap in laps if lap.tokens == 200}
    assert nbytes["f32 BLAS"] == 200 * 2 * 2 * 16 * 4
    assert nbytes["int8"] == 256 * 2 * 2 * (16 + 4)  # whole tiles of 128
    assert nbytes["ternary"] == 256 * 2 * 2 * (16 // 4 + 4)
