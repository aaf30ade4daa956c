"""What llama.cpp computed on SmolLM2, recorded small: reading it, and comparing with it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

PATH = Path(__file__).parent / "golden" / "smollm2-logits.npz"
DIRECTIONS = 512


@dataclass(frozen=True)
class GoldenLogits:
    """Logits after every token of a prompt and of its greedy continuation.

    Attributes
    ----------
    prompt, greedy : int32 arrays
        Token ids.
    shadow : float32 array (positions, DIRECTIONS)
        Each position's logits, less their mean, as `shadow` makes it.
    length : float32 array (positions,)
        Length of each position's logits, less their mean.
    """

    prompt: np.ndarray
    greedy: np.ndarray
    shadow: np.ndarray
    length: np.ndarray

    @classmethod
    def read(cls) -> "GoldenLogits":
        with np.load(PATH) as file:
            return cls(**file)

    @classmethod
    def of(cls, prompt, greedy, logits) -> "GoldenLogits":
        centred = logits - logits.mean(axis=1, keepdims=True)
        return cls(
            np.asarray(prompt, np.int32),
            np.asarray(greedy, np.int32),
            shadow(logits),
            np.linalg.norm(centred, axis=1),
        )

    @property
    def tokens(self) -> np.ndarray:
        """What ran: all but the last, after which nothing was computed."""
        return np.concatenate([self.prompt, self.greedy[:-1]])

    def cosines(self, logits: np.ndarray) -> np.ndarray:
        """Cosine of the recorded and of these logits at each position, means taken off.

        Nearly as good as from the recorded logits themselves: in random directions lengths come
        out right up to a few percent (sqrt(2 / DIRECTIONS) = 6 %, one standard deviation), and it
        is the length of the *difference* that is taken there, which must be small.
        """
        ours = np.linalg.norm(logits - logits.mean(axis=1, keepdims=True), axis=1)
        apart = np.linalg.norm(shadow(logits) - self.shadow, axis=1)
        return (ours**2 + self.length**2 - apart**2) / (2 * ours * self.length)


def shadow(logits: np.ndarray) -> np.ndarray:
    """Logits (positions, vocab), less their mean, along random directions of +1 and -1."""
    vocab = logits.shape[1]
    # raw bits of a generator, which no release of NumPy may change
    words = np.random.PCG64(0).random_raw(DIRECTIONS * -(-vocab // 64))
    bits = np.unpackbits(words.astype("<u8").view(np.uint8)).reshape(DIRECTIONS, -1)
    signs = 2 * bits[:, :vocab].astype(np.float32) - 1
    centred = logits - logits.mean(axis=1, keepdims=True)
    return (centred @ signs.T / np.sqrt(np.float32(DIRECTIONS))).astype(np.float32)
