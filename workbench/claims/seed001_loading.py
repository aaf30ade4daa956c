"""Seed 001: loading, decoding and threads, measured here against named peers in the same run."""

import statistics
import tempfile
from collections import defaultdict

import numpy as np

from workbench import kernels
from workbench.claims.checks import Needs, check, says, shows
from workbench.claims.material import SMOLLM2, TRITS, random_file, runs
from workbench.claims.speed import beside_llama_cpp, decode_speeds, toy
from workbench.formats import decode_blocks
from workbench.lm import load_profile
from workbench.lm.model import silu
from workbench.measure import _ggml, peers
from workbench.measure.decoding import COLS, bench_decoding, random_blocks
from workbench.measure.mapping import bench_reading, reading_memory
from workbench.measure.pools import bench_pools
from workbench.measure.textbook import SignSelect, TritLookup
from workbench.measure.timing import race
from workbench.ternary import matmul, pack

MIB = 2**20
SIZES = (512, 1024, 2048, 4096, 8192)


@check("trinity-thread-pool", quick=False, alone=True)
def thread_pool():
    """The printed times; our kernel by a pool, by spawned threads and by OpenMP, 512 to 8192."""
    yield says("spawn over pool", "0.98", 1921.3 / 1956.8)
    share = 16 * 100 / 1921.3
    yield says("16 spawns of 100 us, as share of the time", 0.1, share, relation="<=")
    for (rows, cols), found in _pools(SIZES).items():
        spawned, pool = found["threads spawned"], found["pool kept"]
        under = f"our kernel, {rows} x {cols}, {spawned['threads']} threads"
        said = "speed-up of a pool over threads spawned"
        yield says(said, 1.0, pool["ratio_spawned"], relation="<=", tolerance=0.05, under=under)
        for way in ("one thread", "OpenMP"):
            yield shows(f"of {way} over threads spawned", found[way]["ratio_spawned"], under=under)
        empty = spawned["empty_s"] / spawned["median_s"]
        yield shows("to spawn and join, as share of the time", empty, under=under)


@check("trinity-parallel-slower", quick=False, alone=True)
def parallel_slower():
    """The best single-threaded time over the threaded one, printed, and ours by number of rows."""
    yield says("speed-up by threads at 2048 x 2048", 1.0, 1096.0 / 1921.3, relation=">=")
    yield shows("threaded over single-threaded time", 1921.3 / 1096.0)
    for (rows, cols), found in _pools((64, 512, 2048, 8192), cols=2048).items():
        for way in ("threads spawned", "pool kept", "OpenMP"):
            threads = found[way]["threads"]
            under = f"our kernel, {rows} x {cols}, {threads} threads, {way}"
            yield says(
                "speed-up by threads", 1.0, found[way]["ratio_one"], relation=">=", under=under
            )


@check("trinity-mmap-2000x", quick=False, alone=True)
def map_or_read():
    """Quotients in the document; files read and mapped, warm and cold, unused and used."""
    yield says("1008.9 us / 27.3 us", "36.9", 1008.9 / 27.3)
    yield says("largest quotient of load times in the document", 2000, 208 / 4.82, relation=">=")
    with tempfile.TemporaryDirectory() as folder:
        for size in (1, 64):
            path = random_file(folder, size * MIB)
            rows = bench_reading(path, seconds=1.0, repeats=5)
            for way, peer in (("map", "read"), ("map and sum", "read and sum")):
                what = {"map": "mapped", "map and sum": "mapped and every byte used"}[way]
                for state in ("warm", "cold"):
                    found = {r["way"]: r["median_s"] for r in rows if r["state"] == state}
                    if found[peer] is None:
                        continue
                    under = f"{size} MiB, {state}, {what}"
                    ratio = found[peer] / found[way]
                    yield says("read over mmap", 2000, ratio, relation=">=", under=under)


@check("trinity-mmap-memory", alone=True)
def memory_while_loading(weights):
    """Memory that two processes add which hold a 32 MB file at once, over its size."""
    size = 32 * MIB
    with tempfile.TemporaryDirectory() as folder:
        rows = reading_memory(random_file(folder, size))
    one = {row["way"]: row["rss_bytes"] / size for row in rows}
    named = {"read": "read into one buffer", "read and copy": "read and converted copy"}
    for way, name in named.items():
        yield says("read, times the file", 2.0, one[way], tolerance=0.25, under=name)
    touched = one["map and touch pages"]
    yield says("mapped and touched, times the file", 1.0, touched, tolerance=0.25)
    yield shows("mapped and not touched, times the file", one["map"])
    if rows[0]["pss_bytes"] is not None:
        together = defaultdict(int)
        for row in rows:
            together[row["way"]] += row["pss_bytes"] / size
        said = "two processes that map, together, times the file"
        yield says(said, 1.0, together["map and touch pages"], tolerance=0.25)
        yield shows("two processes that read, together, times the file", together["read"])
    floats = sum(4 * int(np.prod(tensor.shape)) for tensor in weights.values())
    stored = sum(tensor.nbytes for tensor in weights.values())
    yield shows("decoded to float32, times the file", floats / stored)


@check("trinity-load-43x", quick=False, alone=True)
def load_time():
    """The quotient, and the bandwidth that it takes; here a file and a model, cold and warm."""
    yield says("208 s / 4.82 s", "43", 208 / 4.82)
    rated = 128 * 2**20 / 1e6
    yield says(
        "read in 4.82 s, within the rated 128 MiB/s",
        rated,
        1.7e9 / 4.82 / 1e6,
        unit="MB/s",
        relation="<=",
    )
    yield shows("1.7 GB at the rated bandwidth", 1.7e9 / rated / 1e6, unit="s")
    yield shows("1.7 GB at 8 MiB/s", 1.7e9 / (8 * 2**20), unit="s")
    yield shows("1.7e9 weights at the document's 607 million a second", 1.7e9 / 607e6, unit="s")
    with tempfile.TemporaryDirectory() as folder:
        for row in bench_reading(random_file(folder, 256 * MIB), seconds=2.0, repeats=3):
            if row["way"] == "read" and row["median_s"] is not None:
                speed = row["gb_per_s"] * 1e3
                yield shows(f"a file of 256 MiB read here, {row['state']}", speed, unit="MB/s")
    if runs(SMOLLM2):
        times = defaultdict(lambda: defaultdict(float))
        for row in load_profile(SMOLLM2, routes=["reference", "engine"], repeats=3):
            if row["time_s"] is not None and row["phase"] != "second token":
                times[row["route"], row["state"]][row["phase"]] += row["time_s"]
        for (route, state), steps in times.items():
            name = f"SmolLM2-135M to its first token, {route}, {state}"
            yield shows(name, sum(steps.values()), unit="s")
            if "decode to float32" in steps:
                share = steps["decode to float32"] / sum(steps.values())
                yield shows(f"share of it that decodes weights, {state}", share)


@check("trinity-vs-llamacpp", quick=False, alone=True)
def against_llama_cpp():
    """The percentages; here time to the first token and tokens a second beside llama.cpp's."""
    yield says("load time, 208 s for 30 s", "-595", -100 * (208 - 30) / 30, unit="%")
    yield says("size, 15 MB for 2.5 MB", "500", 100 * (15 - 2.5) / 2.5, unit="%")
    if runs(SMOLLM2):
        for name, value, unit in beside_llama_cpp(SMOLLM2):
            yield shows(name, value, unit=unit)


@check("trinity-tok-s-consistency", quick=False, alone=True)
def tokens_a_second():
    """20 tokens over the printed times; the printed speeds' spread, and that of our own runs."""
    yield shows("20 tokens in 29.23 to 39.38 s", [20 / 39.38, 20 / 29.23], unit="tokens/s")
    printed = {"on any host": [1.43, 0.7, 1.4, 0.16], "on Fly.io": [0.7, 1.4, 0.16]}
    for host, speeds in printed.items():
        spread = max(speeds) / min(speeds)
        yield says(f"fastest over slowest, printed, {host}", 2.0, spread, relation="<=")
    if runs(SMOLLM2):
        for name, speeds in decode_speeds(SMOLLM2).items():
            median = statistics.median(speeds)
            yield shows(f"SmolLM2-135M, {name}, median of runs", median, unit="tokens/s")
            yield shows(f"fastest over slowest run, {name}", max(speeds) / min(speeds))


@check("trinity-20093-tok-s", quick=False, alone=True)
def toy_speed():
    """The toy (32 words, width 64, 2 layers, 4 heads) in our engine, and a real model."""
    if not runs(SMOLLM2):
        yield Needs("SmolLM2-135M (workbench models fetch smollm2-135m) and compiled kernels")
        return
    with tempfile.TemporaryDirectory() as folder:
        path, parameters = toy(folder)
        found = decode_speeds(path, ("engine", "engine, 128 tokens a call"))
    yield shows("parameters of the toy", parameters)
    yield shows("the toy at 20,093 tokens/s", 2 * parameters * 20_093 / 1e9, unit="GOPS")
    for way, speeds in found.items():
        under = f"the toy, {way}"
        median = statistics.median(speeds)
        yield says("tokens/s", 20_093, median, relation=">=", under=under)
        yield shows("GOPS", 2 * parameters * median / 1e9, under=under)
    median = statistics.median(decode_speeds(SMOLLM2, ("engine",))["engine"])
    yield says("tokens/s", 20_093, median, relation=">=", under="SmolLM2-135M, engine")


@check("trinity-simd-misc", quick=False, alone=True)
def redivided(rng):
    """Throughputs divided again; decoding, ternary products, SwiGLU and a residual sum here."""
    yield shows("1 million in 1.89 ms", 1e6 / 1.89e-3 / 1e6, unit="M/s")
    yield shows("100 million in 164 ms", 100e6 / 164e-3 / 1e6, unit="M/s")
    for weights, said in ((1_000_000, 530), (100_000_000, 607)):
        for row in bench_decoding(["Q8_0"], [1, kernels.cores()], weights=weights, seconds=2.0):
            under = f"our kernel, {weights // 10**6} million weights, {row['threads']} threads"
            speed = row["weights_per_s"] / 1e6
            yield says("Q8_0 decoded", said, speed, unit="M/s", relation=">=", under=under)
    (row,) = bench_decoding(["Q4_K"], seconds=2.0)
    yield shows("Q4_K decoded, speed-up over gguf-py's NumPy", row["ratio"])
    if peers.available():
        ratio = _q4_k_beside_llama_cpp()
        under = "our kernel, over llama.cpp's plain C loop, one thread"
        yield says("Q4_K decoded, speed-up", 2.5, ratio, relation=">=", under=under)
    codes = rng.choice(TRITS, size=(2048, 2048))
    x = rng.integers(-127, 128, (1, 2048), np.int8)
    packed = pack(codes, "planar")
    textbook = {variant.name: variant(codes).product(x) for variant in (SignSelect, TritLookup)}
    laps = race({"ours": lambda: matmul(packed, x[0]), **textbook}, to=list(textbook), seconds=1.0)
    for name in textbook:
        ratio = laps["ours"].ratios[name].median
        under = f"our kernel, 2048 x 2048, over the textbook's {name}"
        yield says("ternary product, speed-up", 3.7, ratio, relation=">=", under=under)
    a, b = rng.normal(size=(2, 2048)).astype(np.float32)
    out = np.empty_like(a)
    laps = race({"SwiGLU": lambda: silu(a) * b, "sum": lambda: np.add(a, b, out=out)}, seconds=0.4)
    swiglu, total = (laps[name].timing.median_s * 1e6 for name in ("SwiGLU", "sum"))
    yield shows("SwiGLU, an element of 2048 in 46.74 us", 46.74e3 / 2048, unit="ns")
    yield says("SwiGLU of 2048", 46.74, swiglu, unit="us", relation="<=", under="NumPy")
    yield shows("residual sum of 2048, NumPy's call included", total, unit="us")


def _pools(sizes, cols=None) -> dict[tuple[int, int], dict[str, dict]]:
    """Rows of `bench_pools` by shape and way; none where kernels are not compiled."""
    if not kernels.status("planar").compiled:
        return {}
    found = defaultdict(dict)
    for row in bench_pools(sizes, cols=cols):
        found[row["rows"], row["cols"]][row["way"]] = row
    return found


def _q4_k_beside_llama_cpp() -> float:
    """How many times as fast our decoder is, on one thread."""
    raw = random_blocks("Q4_K", 256)  # a million weights: the array stays in the cache
    decode = _ggml.library().dequantize_row_q4_K

    def peer():
        out = np.empty((len(raw), COLS), np.float32)
        decode(raw.ctypes.data, out.ctypes.data, out.size)
        return out

    def ours():
        return decode_blocks("Q4_K", raw, COLS, threads=1)

    assert np.array_equal(ours(), peer(), equal_nan=True)
    return (
        race({"ours": ours, "llama.cpp": peer}, to=["llama.cpp"])["ours"].ratios["llama.cpp"].median
    )
