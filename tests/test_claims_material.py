"""What the checks stand on: grids, classes, and attention as the model computes it."""

import numpy as np
import pytest

from workbench.claims import attention, factoring, grids, material
from workbench.models import activations, open_model


@pytest.fixture(scope="module")
def model():
    return open_model("smollm2-slice")


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_layers_are_found_and_tables_are_not(model):
    found = material.names(model)
    assert "blk.0.attn_output.weight" in found
    assert len(found) == sum(len(tensor.shape) == 2 for tensor in model.values())
    for name in (
        "output.weight",
        "token_embd.weight",
        "model.embed_tokens.weight",
        "lm_head.weight",
    ):
        assert material.TABLE.search(name)


def test_large_models_are_sampled_by_rows(model):
    for most in (100_000, 1_000_000):
        found = material.matrices(model, most)
        assert sum(m.size for m in found.values()) <= 1.3 * most
        assert all(len(m) >= material.SMALLEST for m in found.values())


@pytest.mark.parametrize(
    ("matrix", "native"),
    [([[0.5, -0.5, 0]], True), ([[0.5, -0.4, 0]], False), ([[0.5, -0.5, 0.5]], False)],
    ids=["ternary", "two magnitudes", "binary"],
)
def test_native_ternary(matrix, native):
    assert material.is_ternary(np.array(matrix)) is native


@pytest.mark.parametrize("ratio", [grids.EULER, grids.PHI, 2.0])
def test_rounding_is_to_the_nearest_level(ratio, rng):
    w = rng.normal(size=(3, 50))
    grid = grids.levels(ratio, 32)
    peak = np.abs(w).max(axis=1, keepdims=True)
    nearest = np.abs(w[..., None] / peak[..., None] - grid).argmin(axis=2)
    assert (grids.indices(w, grid) == nearest).all()
    assert len(grid) == 32
    assert grids.snr(w, grids.with_deviation(w, grid)) > grids.snr(w, grids.rounded(w, grid)) + 20


def test_zero_rows_stay_zero():
    zero = np.zeros((2, 8))
    assert (grids.uniform_steps(zero, 256) == 0).all()
    assert np.isfinite(grids.rounded(zero, grids.levels(2, 32))).all()


def test_uniform_errors_show_what_chance_does(rng):
    found = grids.clustering(rng.uniform(-1, 1, 200_000))
    assert found == pytest.approx({"D1": 0.146, "D2": 0.071, "D3": 0.151, "D5": 0.152}, abs=0.004)


def test_classes_and_shifts():
    assert [factoring.class_of(*factoring.coordinates(c)) for c in range(96)] == list(range(96))
    move = factoring.shifts()
    assert move["R"] == [(c + 24) % 96 for c in range(96)]
    for name, order in (("R", 4), ("D", 3), ("T", 8), ("M", 2)):
        at = list(range(96))
        for _ in range(order):
            at = [move[name][c] for c in at]
        assert at == list(range(96)), name
    both = [move["M"][move["D"][move["M"][c]]] for c in range(96)]
    assert [move["D"][c] for c in both] == list(range(96)), "MDM is D's inverse"


@pytest.mark.parametrize("name", factoring.DEFINITIONS)
def test_factors_are_of_n_mod_96(name):
    factors = factoring.DEFINITIONS[name]
    assert all(factors(n) == factors(n + 96) for n in range(96))


def test_attention_is_what_the_model_computes(model):
    layers = list(attention.recorded_attention(model))
    assert [name for name, *_ in layers] == ["blk.0", "blk.14"]
    for name, q, k, v in layers:
        recorded = activations(model, f"{name}.attn_output.weight")
        for t in (0, 1, 40, len(q) - 1):
            ours = attention.attend(q[t], k[: t + 1], v[: t + 1]).ravel()
            assert attention.cosine(ours, recorded[t]) > 0.999


@pytest.mark.parametrize("mode", attention.MODES)
def test_cached_tokens_are_ternary(mode, rng):
    x = rng.normal(size=(5, 2, 8))
    back = attention.ternary_tokens(x, mode).reshape(5, -1)
    for row in back:
        assert len(np.unique(np.abs(row[row != 0]))) == 1
    assert (np.sign(back) * np.sign(x.reshape(5, -1)) >= 0).all()


def test_lookup_kernels_agree():
    from workbench import kernels
    from workbench.claims.seed003_speed import FLAT, OFFSETS, SUMS

    kernel = kernels.load("lookups")
    n = np.arange(96, dtype=np.uint8)
    wanted = sum(int(SUMS[i]) for i in n)
    for call in (
        lambda out: kernel.fused(n, SUMS, out),
        lambda out: kernel.fused_modulo(n, SUMS, out),
        lambda out: kernel.two_steps(n, OFFSETS, FLAT, out),
        lambda out: kernel.trial_division(n, out),
    ):
        out = np.zeros(1, np.int64)
        call(out)
        assert out[0] == wanted
