"""Draw the pictures of the landing page from the bundled weights.

    python notebooks/pictures/draw.py

Each is an SVG of 640 x 360 with a background of its own, so that it reads on light and dark pages.
"""

from pathlib import Path

import numpy as np

import workbench as wb
from workbench import claims
from workbench.lm import generate, open_language_model
from workbench.lm.tensors import PROJECTIONS
from workbench.lookup import literal
from workbench.measure.compare import matching_tensors
from workbench.measure.error import relative_mse
from workbench.paths import data_dir

HERE = Path(__file__).parent
WIDTH, HEIGHT = 640, 360
BACKGROUND, INK, FAINT = "#14171c", "#e8eaed", "#5f6773"
BLUE, ORANGE, TEAL = "#5ab0f2", "#f2955a", "#3fc4a8"


def main() -> None:
    """Write all pictures beside this file."""
    weights = wb.open_model("smollm2-slice")
    w = weights["blk.14.ffn_up.weight"].read()
    save("00-start-here", matrix_and_trits(w))
    save("01-ternary-weights", error_by_threshold(w))
    save("02-ternary-matmul", rows_in_bytes(w))
    save("03-compare", bits_and_errors(weights))
    save("04-sweep", error_by_job(weights))
    save("09-claims", verdicts_by_document())
    save("10-lookup-tables", bytes_by_stage())
    save("20-run-a-model", tokens_and_chances())
    save("21-ternary-transformer", trits_by_layer())
    save("22-train-a-ternary-model", losses_by_step())


def save(name: str, shapes: list[str]) -> None:
    """Write one picture."""
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}">'
    back = f'<rect width="{WIDTH}" height="{HEIGHT}" fill="{BACKGROUND}"/>'
    (HERE / f"{name}.svg").write_text("\n".join([head, back, *shapes, "</svg>"]) + "\n")


def matrix_and_trits(w: np.ndarray) -> list[str]:
    """The same corner of a matrix, as it is and as trits."""
    side, cell = 20, 13
    corner = w[:side, :side]
    trits = wb.ternary.quantize(w, "optimal").codes[:side, :side]
    largest = 0.6 * np.abs(corner).max()
    shapes = []
    for left, values in ((30, corner / largest), (350, 0.72 * trits)):
        for r in range(side):
            for c in range(side):
                at = left + cell * c, 50 + cell * r
                shapes.append(square(*at, cell - 1, signed(values[r, c])))
    shapes.append(line([(302, 180), (338, 180)], INK, 3))
    shapes.append(line([(328, 172), (338, 180), (328, 188)], INK, 3))
    return shapes


def error_by_threshold(w: np.ndarray) -> list[str]:
    """Error against threshold with the best scale, and with BitNet's."""
    thresholds = np.linspace(0, 2, 41)
    best, own = [], []
    for t in thresholds:
        rounded = {
            refit: wb.ternary.quantize(w, threshold=t, scale="tensor", refit=refit).dequantize()
            for refit in (True, False)
        }
        best.append(relative_mse(w, rounded[True]))
        own.append(relative_mse(w, rounded[False]))
    x = 60 + 540 * thresholds / 2

    def y(errors):
        return 300 - 480 * (np.minimum(errors, 0.75) - 0.2)

    lowest = int(np.argmin(best))
    return [
        line([(60, 30), (60, 320), (610, 320)], FAINT, 2),
        line(np.column_stack([x, y(own)]), ORANGE, 4),
        line(np.column_stack([x, y(best)]), BLUE, 4),
        line([(x[lowest], y(best[lowest])), (x[lowest], 320)], FAINT, 2, "6 6"),
        dot(x[lowest], y(best[lowest]), 10, BLUE),
        dot(x[10], y(own[10]), 10, ORANGE),  # BitNet's threshold, half the mean magnitude
    ]


def rows_in_bytes(w: np.ndarray) -> list[str]:
    """Four rows of trits, and the bits of the bytes that they share."""
    cols, cell = 22, 25
    trits = wb.ternary.quantize(w, "optimal").codes[:4, :cols]
    packed = wb.ternary.pack(trits).data[0]
    shapes = []
    for c in range(cols):
        left = 45 + cell * c
        for r in range(4):
            shapes.append(square(left, 35 + cell * r, cell - 2, signed(0.72 * trits[r, c])))
        for bit in range(8):
            is_set = packed[c] >> bit & 1
            shapes.append(
                square(left, 165 + 20 * bit, 18, INK if is_set else "#2a3039", width=cell - 2)
            )
    return shapes


def bits_and_errors(weights) -> list[str]:
    """Bits a weight against error of all techniques on one matrix, and what none beats."""
    reports = wb.compare(weights, "blk.14.attn_q.weight", nulls=False, plain=False, timing=False)
    reports = [r for r in reports if r.rel_mse > 0 and r.bits_per_weight < 6]

    def place(r):
        return 90 + 145 * (r.bits_per_weight - 1.5), 10 + 135 * -np.log10(r.rel_mse)

    front = wb.pareto(reports)
    shapes = [line([(50, 30), (50, 335), (610, 335)], FAINT, 2)]
    shapes.append(line([place(r) for r in front], FAINT, 3, "8 7"))
    for r in reports:
        ternary = r.technique.endswith("ternary") or r.technique in ("tq1_0", "tq2_0", "q2_0")
        colour = ORANGE if ternary else TEAL if r.technique.startswith("entropy") else BLUE
        shapes.append(dot(*place(r), 10, colour))
    return shapes


def verdicts_by_document() -> list[str]:
    """A bar a document, a square a claim: confirmed, wrong, depends, undecided."""
    colours = dict(zip(claims.WORDS, (TEAL, ORANGE, BLUE, FAINT, FAINT), strict=True))
    shapes, cell, wide = [], 22, 4
    for column, count in enumerate(claims.counts(claims.verdicts_of(claims.ledger())).values()):
        words = [word for word in claims.WORDS for _ in range(count[word])]
        for place, word in enumerate(words):
            left = 55 + 110 * column + cell * (place % wide)
            top = 312 - cell * (place // wide)
            shapes.append(square(left, top, cell - 2, colours[word]))
    return shapes


def error_by_job(weights) -> list[str]:
    """A row a technique, a column a matrix, a square a job: the larger, the more error is left."""
    names = matching_tensors(weights, "*")
    chosen = ["planar-ternary", "uniform", "q4_0", "entropy-uniform", "nf4"]
    reports = wb.compare(weights, names, chosen, nulls=False, plain=False, timing=False)
    shapes = []
    for r in reports:
        column, row = names.index(r.tensor), chosen.index(r.technique)
        side = 30 + 9 * np.log10(r.rel_mse)
        x, y = 75 + 500 * column / (len(names) - 1), 65 + 58 * row
        colour = (ORANGE, ORANGE, BLUE, TEAL, BLUE)[row]
        shapes.append(square(x - side / 2, y - side / 2, side, colour))
    return shapes


def bytes_by_stage() -> list[str]:
    """The proposed table, stage by stage: claimed and needed; a line is 1000 times more."""
    shapes = [line([(40, top), (610, top)], FAINT, 1) for top in (55, 145, 235, 325)]
    for place, stage in enumerate(literal.waterfall()):
        for offset, nbytes, colour in ((0, stage.claimed, FAINT), (23, stage.needed, ORANGE)):
            height = 30 * np.log10(nbytes / 1e3)
            shapes.append(square(55 + 56 * place + offset, 325 - height, height, colour, width=21))
    return shapes


def tokens_and_chances() -> list[str]:
    """Tokens of a greedy text; above each, how likely the four likeliest were."""
    model = open_language_model("english-ternary")
    ids = model.tokenizer.encode("And the LORD said")
    ids += generate(model, ids, 12).tokens
    logits = model.forward(np.array(ids), model.new_cache(len(ids))).astype(np.float64)
    chances = np.exp(logits - logits.max(axis=1, keepdims=True))
    chances = np.sort(chances / chances.sum(axis=1, keepdims=True))[:, ::-1]
    shapes, left = [], 32.0
    for position, token in enumerate(ids):
        width = 12 + 8 * len(model.tokenizer.decode([token]))
        if left + width > WIDTH - 20:
            break
        shapes.append(square(left, 290, 34, FAINT if position < 4 else ORANGE, width=width - 6))
        if position >= 4:  # what the model expected here, before it was written
            for place, chance in enumerate(chances[position - 1, :4]):
                height = 230 * np.sqrt(chance)
                bar = (width - 6) / 4
                colour = ORANGE if place == 0 else BLUE
                shapes.append(
                    square(left + place * bar, 280 - height, height, colour, width=bar - 1)
                )
        left += width
    return shapes


def trits_by_layer() -> list[str]:
    """A corner of each matrix of each layer, as the trits that training made."""
    model = open_language_model("english-ternary")
    shapes, cell = [], 6.6
    for column in range(model.config.layers):
        for row, name in enumerate(PROJECTIONS):
            matrix = np.sign(model.tensors[f"blk.{column}.{name}.weight"][:6, :12])
            for r, c in np.argwhere(matrix != 0):
                at = 40 + 96 * column + cell * c, 18 + 47 * row + cell * r
                shapes.append(square(*at, cell - 0.8, signed(0.72 * matrix[r, c])))
    return shapes


def losses_by_step() -> list[str]:
    """How unsure both models were of unknown text, update by update."""
    shapes = [line([(50, 30), (50, 335), (610, 335)], FAINT, 2)]
    for name, colour in (("float", BLUE), ("ternary", ORANGE)):
        log = np.genfromtxt(data_dir() / f"english-{name}-log.csv", delimiter=",", names=True)
        x = 50 + 550 * log["step"] / log["step"].max()
        y = 335 - 290 * (log["held_out_loss"] - 3) / (log["held_out_loss"].max() - 3)
        shapes.append(line(np.column_stack([x, y]), colour, 5))
    return shapes


def signed(value: float) -> str:
    """A colour for a number from -1 to 1: blue, dark, orange."""
    dark = np.array([0x26, 0x2B, 0x33])
    full = np.array([0x5A, 0xB0, 0xF2] if value < 0 else [0xF2, 0x95, 0x5A])
    share = min(1.0, 1.4 * abs(value))
    return "#" + "".join(f"{round(v):02x}" for v in dark + share * (full - dark))


def square(x: float, y: float, height: float, colour: str, width: float | None = None) -> str:
    """A filled rectangle."""
    width = height if width is None else width
    return f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" fill="{colour}"/>'


def dot(x: float, y: float, radius: float, colour: str) -> str:
    """A filled circle with a dark rim."""
    at = f'cx="{x:.1f}" cy="{y:.1f}" r="{radius:g}"'
    return f'<circle {at} fill="{colour}" stroke="{BACKGROUND}" stroke-width="3"/>'


def line(points, colour: str, width: float, dashes: str = "") -> str:
    """A line through points."""
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
    return (
        f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{width:g}" '
        f'stroke-linejoin="round" stroke-linecap="round"{dashed}/>'
    )


if __name__ == "__main__":
    main()
