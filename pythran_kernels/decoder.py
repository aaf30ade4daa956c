"""A whole chunk of tokens through all layers of a transformer, in one call; a chunk of one decodes.

Weights, `matrices` and the lists are those of decoder_products.py: four matrices a layer, then the head.
Work is split between threads by rows, by tokens and by heads: results do not depend on their number.
"""

# pythran export forward(float32[:,:] order(C), uint8[:], uint16[:], int16[:], float32[:], int64[:,:] order(C), float32[:,:] order(C), float32[:,:] order(C), float32[:,:] order(C), float32[:,:] order(C), float32[:], float32[:,:,:,:,:], float32[:,:,:,:], int8[:,:,:,:,:], int8[:,:,:,:], float32[:,:,:], float32[:,:,:], float32[:,:] order(C), float32[:,:] order(C), float32[:,:] order(C) list, int16[:,:] order(C) list, int8[:,:] order(C) list, float32[:,:] order(C) list, float32[:,:] order(C) list, int32[:] list, int32[:,:] order(C) list, float32[:,:] order(C) list, int16[:,:] order(C), float32[:,:] order(C), int, int, float, int, int)

from .decoder_attention import attend_head, remember
from .decoder_attention_codes import attend_head_codes, remember_codes
from .decoder_parts import gate, normalise
from .decoder_products import product, round_input


def forward(
    hidden, bytes_, words, signed, floats, matrices, attention_norms, attention_sub_norms,
    ff_norms, ff_sub_norms, output_norm, keys, values, key_codes, value_codes, key_scales,
    value_scales, cos, sin, x, x16, x8, step, total, total8, sums, y, room, scores, position,
    heads, eps, relu2, threads):  # fmt: skip
    """Take hidden (tokens, width) from embeddings to what the last layer leaves; logits in y[4].

    Sub-norms are (layers, ...), or (0, ...) where there are none. Keys and values are either numbers
    or codes with scales; the others have no blocks. The head runs on as many of the last
    tokens as y[4] has rows. x: the inputs of each product, before they are rounded.
    """
    tokens = hidden.shape[0]
    codes = key_codes.shape[2] > 0
    # what each token needs by itself takes, for a single one, less time than waking a thread
    many = threads if tokens > 1 else 1
    for layer in range(attention_norms.shape[0]):
        row = 4 * layer
        # omp parallel for num_threads(many)
        for k in range(many):
            a, b = tokens * k // many, tokens * (k + 1) // many
            if layer > 0:
                add(hidden, y[3], a, b)
            normalise(hidden, attention_norms[layer], eps, x[0], a, b)
            round_input(matrices, row, 0, x, x16, x8, step, total, total8, a, b)
        product(
            bytes_, words, signed, floats, matrices, row, 0, x16, x8, step, total, total8, sums,
            y, room, threads)  # fmt: skip
        # omp parallel for num_threads(many)
        for k in range(many):
            a, b = tokens * k // many, tokens * (k + 1) // many
            if codes:
                remember_codes(
                    y[0], cos, sin, key_codes, value_codes, key_scales, value_scales, layer,
                    position, heads, a, b)  # fmt: skip
            else:
                remember(y[0], cos, sin, keys, values, layer, position, heads, a, b)
        # omp parallel for num_threads(threads)
        for k in range(threads):
            for i in range(k, tokens * heads, threads):
                t, h, length = i // heads, i % heads, position + i // heads + 1
                if codes:
                    attend_head_codes(
                        y[0], key_codes, value_codes, key_scales, value_scales, scores, x[1],
                        layer, length, heads, t, h, k)  # fmt: skip
                else:
                    attend_head(y[0], keys, values, scores, x[1], layer, length, heads, t, h, k)
        # omp parallel for num_threads(many)
        for k in range(many):
            a, b = tokens * k // many, tokens * (k + 1) // many
            if attention_sub_norms.shape[0] > 0:
                normalise(x[1], attention_sub_norms[layer], eps, x[1], a, b)
            round_input(matrices, row + 1, 1, x, x16, x8, step, total, total8, a, b)
        product(
            bytes_, words, signed, floats, matrices, row + 1, 1, x16, x8, step, total, total8,
            sums, y, room, threads)  # fmt: skip
        # omp parallel for num_threads(many)
        for k in range(many):
            a, b = tokens * k // many, tokens * (k + 1) // many
            add(hidden, y[1], a, b)
            normalise(hidden, ff_norms[layer], eps, x[2], a, b)
            round_input(matrices, row + 2, 2, x, x16, x8, step, total, total8, a, b)
        product(
            bytes_, words, signed, floats, matrices, row + 2, 2, x16, x8, step, total, total8,
            sums, y, room, threads)  # fmt: skip
        # omp parallel for num_threads(many)
        for k in range(many):
            a, b = tokens * k // many, tokens * (k + 1) // many
            gate(y[2], x[3], relu2, a, b)
            if ff_sub_norms.shape[0] > 0:
                normalise(x[3], ff_sub_norms[layer], eps, x[3], a, b)
            round_input(matrices, row + 3, 3, x, x16, x8, step, total, total8, a, b)
        product(
            bytes_, words, signed, floats, matrices, row + 3, 3, x16, x8, step, total, total8,
            sums, y, room, threads)  # fmt: skip
    add(hidden, y[3], 0, tokens)
    outputs = y[4].shape[0]
    for t in range(outputs):
        for j in range(hidden.shape[1]):
            x[4][t, j] = hidden[tokens - outputs + t, j]
    row = 4 * attention_norms.shape[0]
    normalise(x[4], output_norm, eps, x[4], 0, outputs)
    round_input(matrices, row, 4, x, x16, x8, step, total, total8, 0, outputs)
    product(
        bytes_, words, signed, floats, matrices, row, 4, x16, x8, step, total, total8, sums, y,
        room, threads)  # fmt: skip


def add(hidden, y, first, last):
    """The residual stream takes up what tokens first to last - 1 got."""
    for t in range(first, last):
        for j in range(hidden.shape[1]):
            hidden[t, j] += y[t, j]
