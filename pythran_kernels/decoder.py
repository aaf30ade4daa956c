"""A whole chunk of tokens through all layers of a transformer, in one call; a chunk of one decodes.

Every product has one of five forms of weights (KINDS in workbench/lm/packing.py), all in one stretch of
memory, `arena`, which comes in four views. Row 4 layer + m of `matrices` tells where a layer's
matrix m is (0: query, key, value; 1: output; 2: gate, up; 3: down; the last row: the head): kind, rows,
size of a block, first byte or word, one past it, first scale. The lists hold room for each m.
Work is split between threads by rows and by heads only: results do not depend on their number.
"""

# pythran export forward(float32[:,:] order(C), uint8[:], uint16[:], int16[:], float32[:], int64[:,:] order(C), float32[:,:] order(C), float32[:,:] order(C), float32[:,:] order(C), float32[:,:] order(C), float32[:], float32[:,:,:,:,:], float32[:,:,:,:], float32[:,:] order(C), float32[:,:] order(C), int16[:,:] order(C) list, int8[:,:] order(C) list, float32[:,:] order(C) list, float32[:,:] order(C) list, int32[:] list, int32[:,:] order(C) list, float32[:,:] order(C) list, float32[:,:] order(C) list, float32[:,:] order(C), int, int, float, int, int)
import numpy as np

from .base3 import span as base3_span
from .base3_tiles import span as base3_tiles_span
from .decoder_attention import attend_head, remember
from .decoder_parts import gate, normalise, round_groups, round_tokens
from .int4_rows import span as int4_span
from .int4_tiles import span as int4_tiles_span
from .int8_rows import span as int8_span
from .int8_tiles import span as int8_tiles_span
from .planar import span as planar_span
from .planar_tiles import span as planar_tiles_span

MANY = 8  # tokens from which unpacking the codes of int4 and int8 pays


def forward(
    hidden,
    bytes_,
    words,
    signed,
    floats,
    matrices,
    attention_norms,
    attention_sub_norms,
    ff_norms,
    ff_sub_norms,
    output_norm,
    keys,
    values,
    cos,
    sin,
    x16,
    x8,
    step,
    total,
    total8,
    sums,
    y,
    inner,
    scores,
    position,
    heads,
    eps,
    relu2,
    threads,
):
    """Take hidden (tokens, width) from embeddings to what the last layer leaves; logits in y[4].

    sub-norms: (layers, ...), or (0, ...) where there are none. The head runs on as many of the last tokens
    as y[4] has rows.
    """
    tokens = hidden.shape[0]
    layers = attention_norms.shape[0]
    # elementwise work on one token takes less time than waking a thread
    many = threads if tokens > 1 else 1
    for layer in range(layers):
        row = 4 * layer
        # omp parallel for num_threads(many)
        for k in range(many):
            a, b = tokens * k // many, tokens * (k + 1) // many
            normalise(hidden, attention_norms[layer], eps, inner[0], a, b)
            round_input(
                inner[0], x16[0], x8[0], step[0], total[0], total8[0], matrices[row, 0], a, b
            )
        product(
            bytes_,
            words,
            signed,
            floats,
            matrices,
            row,
            x16[0],
            x8[0],
            step[0],
            total[0],
            total8[0],
            sums[0],
            y[0],
            threads,
        )
        # omp parallel for num_threads(many)
        for k in range(many):
            a, b = tokens * k // many, tokens * (k + 1) // many
            remember(y[0], cos, sin, keys, values, layer, position, heads, a, b)
        # omp parallel for num_threads(threads)
        for k in range(threads):
            for i in range(k, tokens * heads, threads):
                t = i // heads
                attend_head(
                    y[0],
                    keys,
                    values,
                    scores,
                    inner[1],
                    layer,
                    position + t + 1,
                    heads,
                    t,
                    i % heads,
                    k,
                )
        # omp parallel for num_threads(many)
        for k in range(many):
            a, b = tokens * k // many, tokens * (k + 1) // many
            if attention_sub_norms.shape[0] > 0:
                normalise(inner[1], attention_sub_norms[layer], eps, inner[1], a, b)
            round_input(
                inner[1], x16[1], x8[1], step[1], total[1], total8[1], matrices[row + 1, 0], a, b
            )
        product(
            bytes_,
            words,
            signed,
            floats,
            matrices,
            row + 1,
            x16[1],
            x8[1],
            step[1],
            total[1],
            total8[1],
            sums[1],
            y[1],
            threads,
        )
        # omp parallel for num_threads(many)
        for k in range(many):
            a, b = tokens * k // many, tokens * (k + 1) // many
            add(hidden, y[1], a, b)
            normalise(hidden, ff_norms[layer], eps, inner[2], a, b)
            round_input(
                inner[2], x16[2], x8[2], step[2], total[2], total8[2], matrices[row + 2, 0], a, b
            )
        product(
            bytes_,
            words,
            signed,
            floats,
            matrices,
            row + 2,
            x16[2],
            x8[2],
            step[2],
            total[2],
            total8[2],
            sums[2],
            y[2],
            threads,
        )
        # omp parallel for num_threads(many)
        for k in range(many):
            a, b = tokens * k // many, tokens * (k + 1) // many
            gate(y[2], inner[3], relu2, a, b)
            if ff_sub_norms.shape[0] > 0:
                normalise(inner[3], ff_sub_norms[layer], eps, inner[3], a, b)
            round_input(
                inner[3], x16[3], x8[3], step[3], total[3], total8[3], matrices[row + 3, 0], a, b
            )
        product(
            bytes_,
            words,
            signed,
            floats,
            matrices,
            row + 3,
            x16[3],
            x8[3],
            step[3],
            total[3],
            total8[3],
            sums[3],
            y[3],
            threads,
        )
        add(hidden, y[3], 0, tokens)
    row = 4 * layers
    outputs = y[4].shape[0]
    for t in range(outputs):
        for j in range(hidden.shape[1]):
            inner[4][t, j] = hidden[tokens - outputs + t, j]
    normalise(inner[4], output_norm, eps, inner[4], 0, outputs)
    round_input(inner[4], x16[4], x8[4], step[4], total[4], total8[4], matrices[row, 0], 0, outputs)
    product(
        bytes_,
        words,
        signed,
        floats,
        matrices,
        row,
        x16[4],
        x8[4],
        step[4],
        total[4],
        total8[4],
        sums[4],
        y[4],
        threads,
    )


def round_input(x, x16, x8, step, total, total8, kind, first, last):
    """Round tokens as the kind of matrix that they enter wants them."""
    if kind < 3:
        round_groups(x, x16, step, total, first, last)
    else:
        round_tokens(x, x8, step, total8, first, last)


def add(hidden, y, first, last):
    for t in range(first, last):
        for j in range(hidden.shape[1]):
            hidden[t, j] += y[t, j]


def product(
    bytes_, words, signed, floats, matrices, row, x16, x8, step, total, total8, sums, y, threads
):
    """y (tokens, rows) = the rounded activations times matrix `row`."""
    # omp parallel for num_threads(threads)
    for k in range(threads):
        part(
            bytes_,
            words,
            signed,
            floats,
            matrices,
            row,
            x16,
            x8,
            step,
            total,
            total8,
            sums,
            y,
            k,
            threads,
        )


def part(
    bytes_, words, signed, floats, matrices, row, x16, x8, step, total, total8, sums, y, k, threads
):
    """The share of thread k in a product: some of the rows."""
    kind = matrices[row, 0]
    size = matrices[row, 2]
    start = matrices[row, 3]
    stop = matrices[row, 4]
    scale = matrices[row, 5]
    blocks = matrices[row, 1] // size
    first, last = blocks * k // threads, blocks * (k + 1) // threads
    if kind < 2:
        if x16.shape[0] < MANY:
            int4_span(
                words, signed, floats, x16, step, total, y, start, scale, size, kind, first, last
            )
        else:
            int4_tiles_span(
                words, signed, floats, x16, step, total, y, start, scale, size, kind, first, last
            )
    elif kind == 2:
        if x16.shape[0] < MANY:
            int8_span(signed, floats, x16, step, y, start, scale, size, first, last)
        else:
            int8_tiles_span(signed, floats, x16, step, y, start, scale, size, first, last)
    else:
        if kind == 3:
            if x8.shape[0] > 1:
                planar_tiles_span(bytes_[start:stop], x8, total8, sums, first, last)
            else:
                planar_span(bytes_[start:stop], x8, total8, sums, first, last)
        else:
            if x8.shape[0] > 1:
                base3_tiles_span(bytes_[start:stop], x8, total8, sums, first, last)
            else:
                base3_span(bytes_[start:stop], x8, total8, sums, first, last)
        for t in range(y.shape[0]):
            for r in range(first * size, last * size):
                y[t, r] = np.float32(sums[t, r]) * step[t, 0] * floats[scale + r]
