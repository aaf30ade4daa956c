"""llama.cpp's kernels through ctypes: the right products, and plain words where there are none."""

import subprocess

import numpy as np
import pytest

from workbench.errors import WorkbenchError
from workbench.measure import _ggml, peers

KINDS = tuple(_ggml.TYPES)
here = pytest.mark.skipif(not peers.available(), reason=peers.unavailable())


def trits(rng, rows, cols):
    return rng.integers(-1, 2, (rows, cols)).astype(np.float32)


def integers(rng, tokens, cols):
    """Activations that llama.cpp's int8 holds exactly: whole numbers, 127 in every block of 32."""
    x = rng.integers(-127, 128, (tokens, cols)).astype(np.float32)
    x[:, ::32] = 127
    return x


@pytest.mark.peers
@here
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("tokens", [1, 5])
@pytest.mark.parametrize(
    ("kind", "way"), [(kind, way) for kind in KINDS for way in ("vec_dot", "mul_mat")]
)
def test_products_are_those_of_the_decoded_matrix(kind, way, tokens, threads):
    rng = np.random.default_rng(1)
    matrix = peers.PeerMatrix(kind, trits(rng, 7, 512))
    x = integers(rng, tokens, 512)
    expected = x @ matrix.decode().T
    result = matrix.product(x, way, threads)()
    assert result.shape == (tokens, 7)
    np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-4 * abs(expected).max())


@pytest.mark.peers
@here
@pytest.mark.parametrize("way", ["vec_dot", "mul_mat"])
@pytest.mark.parametrize("kind", ["TQ1_0", "TQ2_0"])
def test_ternary_types_are_exact_on_integers(kind, way):
    rng = np.random.default_rng(2)
    weights = trits(rng, 33, 768)
    weights[:, ::256] = 1  # so that the scale of every block is one
    x = integers(rng, 3, 768)
    matrix = peers.PeerMatrix(kind, weights)
    np.testing.assert_array_equal(matrix.decode(), weights)
    np.testing.assert_array_equal(matrix.product(x, way)(), x @ weights.T)


@pytest.mark.peers
@here
def test_repacked_weights_give_the_same_product():
    rng = np.random.default_rng(3)
    matrix = peers.PeerMatrix("Q4_0", trits(rng, 64, 256))
    if "mul_mat repacked" not in peers.ways("Q4_0"):
        pytest.skip("this build of llama.cpp repacks nothing")
    for tokens in (1, 9):
        x = integers(rng, tokens, 256)
        expected = x @ matrix.decode().T
        result = matrix.product(x, "mul_mat repacked")()
        np.testing.assert_allclose(result, expected, rtol=1e-3, atol=1e-3 * abs(expected).max())


@pytest.mark.peers
@here
@pytest.mark.parametrize(
    ("kind", "bytes_per_256"), [("TQ2_0", 66), ("TQ1_0", 54), ("Q4_0", 144), ("Q8_0", 272)]
)
def test_sizes(kind, bytes_per_256):
    matrix = peers.PeerMatrix(kind, np.ones((3, 512), np.float32))
    assert matrix.nbytes == 3 * 2 * bytes_per_256


@pytest.mark.peers
@here
def test_a_product_outlives_its_matrix():
    rng = np.random.default_rng(4)
    weights, x = trits(rng, 300, 256), integers(rng, 2, 256)
    weights[:, 0] = 1
    calls = [peers.PeerMatrix("TQ2_0", weights).product(x, way) for way in ("vec_dot", "mul_mat")]
    for call in calls:
        np.testing.assert_array_equal(call(), x @ weights.T)


@pytest.mark.peers
@here
def test_float16_and_transposed_weights():
    rng = np.random.default_rng(5)
    weights = trits(rng, 256, 8).astype(np.float16)
    weights[0] = 1
    matrix = peers.PeerMatrix("TQ2_0", weights.T)
    np.testing.assert_array_equal(matrix.decode(), weights.T)


@pytest.mark.peers
@here
def test_refusals():
    ones = np.ones((2, 256), np.float32)
    with pytest.raises(WorkbenchError, match="kind='Q9' is not allowed: it is one of TQ2_0, TQ1_0"):
        peers.PeerMatrix("Q9", ones)
    with pytest.raises(WorkbenchError, match="100 columns, but TQ2_0 needs a multiple of 256"):
        peers.PeerMatrix("TQ2_0", ones[:, :100])
    with pytest.raises(WorkbenchError, match="weights hold nan"):
        peers.PeerMatrix("TQ2_0", ones * np.nan)
    matrix = peers.PeerMatrix("TQ2_0", ones)
    with pytest.raises(
        WorkbenchError, match=r"x has shape \(2, 255\), but must be \(tokens, 256\)"
    ):
        matrix.product(ones[:, 1:])
    with pytest.raises(
        WorkbenchError, match="'mul_mat repacked' is not allowed: TQ2_0 has vec_dot"
    ):
        matrix.product(ones, "mul_mat repacked")


class TestUnavailable:
    """What is said where llama.cpp is not installed, does not fit or does not run."""

    @pytest.fixture(autouse=True)
    def fresh(self):
        _ggml.unavailable.cache_clear()
        yield
        _ggml.unavailable.cache_clear()

    @staticmethod
    def installed(monkeypatch, version):
        monkeypatch.setattr(_ggml.importlib.metadata, "version", lambda name: version)

    def test_absent(self, monkeypatch):
        def absent(name):
            raise _ggml.importlib.metadata.PackageNotFoundError(name)

        monkeypatch.setattr(_ggml.importlib.metadata, "version", absent)
        assert not peers.available()
        assert "not installed" in peers.unavailable()
        with pytest.raises(WorkbenchError, match=r"cannot be raced: .*not installed"):
            peers.PeerMatrix("TQ2_0", np.ones((1, 256), np.float32))

    def test_another_release(self, monkeypatch):
        self.installed(monkeypatch, "9.9.9")
        assert "is 9.9.9, but only 0.3.36" in peers.unavailable()

    def test_no_libraries(self, monkeypatch):
        self.installed(monkeypatch, _ggml.VERSION)
        monkeypatch.setattr(_ggml, "_library_file", lambda name: None)
        assert "without its ggml libraries" in peers.unavailable()

    def test_built_for_another_cpu(self, monkeypatch):
        self.installed(monkeypatch, _ggml.VERSION)
        monkeypatch.setattr(_ggml, "_library_file", lambda name: name)
        killed = subprocess.CompletedProcess([], -4)
        monkeypatch.setattr(_ggml.subprocess, "run", lambda *args, **options: killed)
        assert "do not run on this CPU (exit -4)" in peers.unavailable()
