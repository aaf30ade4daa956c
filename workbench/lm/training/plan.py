"""What a training run is decided by: the model's size, the schedule, the seed."""

from dataclasses import asdict, dataclass, fields
from math import cos, pi
from typing import Literal, get_args

from workbench.errors import WorkbenchError
from workbench.lm.config import Config

Kind = Literal["ternary", "float"]
MOST_TOKENS = 65_536  # ids are stored in 16 bits
BYTES_AND_END = 257  # what a vocabulary has before its first merge
BLOCK = 256  # weights in a TQ2_0 block
NORM_EPS = 9.999999747378752e-06  # 1e-5 as the float32 that a file holds


@dataclass(frozen=True)
class Plan:
    """The numbers of a training run; the same plan and text give the same weights.

    Attributes
    ----------
    weights : "ternary" or "float"
        BitNet b1.58, or its twin: the same layers with nothing rounded.
    steps : int
        Updates of the weights.
    batch : int
        Sequences in an update.
    context : int
        Tokens in a sequence, and positions that the model is then meant for.
    vocab, width, ff, layers, heads, kv_heads : int
        As in `Config`; width and ff are multiples of 256, the block of the file format.
    rate : float
        Learning rate at its peak.
    warm_up : int
        Updates until then.
    decay : float
        Weight decay of the matrices in the first half; none in the second, as BitNet has it.
    seed : int
        Of the first weights and of the order of the text.
    """

    weights: Kind = "ternary"
    steps: int = 3000
    batch: int = 4
    context: int = 512
    vocab: int = 2048
    width: int = 256
    ff: int = 512
    layers: int = 6
    heads: int = 4
    kv_heads: int = 1
    rate: float = 3e-3
    warm_up: int = 150
    decay: float = 0.1
    seed: int = 0

    def __post_init__(self):
        if self.weights not in get_args(Kind):
            raise WorkbenchError(f"weights is {self.weights!r}, but must be 'ternary' or 'float'")
        for field in fields(self):
            value, least = getattr(self, field.name), 0 if field.name in ("seed", "warm_up") else 1
            if field.type is int and (type(value) is not int or value < least):
                raise WorkbenchError(
                    f"{field.name} is {value!r}, but must be a whole number from {least} up"
                )
        self._check("rate", 0 < self.rate <= 1, "above 0 and at most 1")
        self._check("decay", 0 <= self.decay <= 1, "from 0 to 1")
        in_range = BYTES_AND_END <= self.vocab <= MOST_TOKENS
        self._check("vocab", in_range, f"from {BYTES_AND_END} to {MOST_TOKENS}")
        for name in ("width", "ff"):
            self._check(name, getattr(self, name) % BLOCK == 0, f"a multiple of {BLOCK}")
        self._check("heads", self.width % (2 * self.heads) == 0, "such that heads have even length")
        self._check("kv_heads", self.heads % self.kv_heads == 0, f"a divisor of {self.heads} heads")

    def _check(self, name: str, fine: bool, allowed: str) -> None:
        if not fine:
            raise WorkbenchError(f"{name} is {getattr(self, name)!r}, but must be {allowed}")

    @property
    def config(self) -> Config:
        """The shape of the model."""
        return Config(
            architecture="bitnet",
            vocab=self.vocab,
            width=self.width,
            layers=self.layers,
            heads=self.heads,
            kv_heads=self.kv_heads,
            head_dim=self.width // self.heads,
            ff=self.ff,
            context=self.context,
            norm_eps=NORM_EPS,
            rope_base=10_000.0,
            rope_order="halves",
            activation="silu",
            sub_norms=True,
            tied=True,
        )

    def rate_at(self, step: int) -> float:
        """Learning rate of an update: a straight warm-up, then half a cosine to a twentieth."""
        if step < self.warm_up:
            return self.rate * (step + 1) / self.warm_up
        done = (step - self.warm_up) / max(self.steps - self.warm_up, 1)
        return self.rate * (0.05 + 0.95 * (1 + cos(pi * done)) / 2)

    def decay_at(self, step: int) -> float:
        """Weight decay of an update."""
        return self.decay if step < self.steps // 2 else 0.0

    def differences(self, other: dict) -> list[str]:
        """Names of the numbers that another plan, as `asdict` gives it, has otherwise."""
        return [name for name, value in asdict(self).items() if other.get(name) != value]
