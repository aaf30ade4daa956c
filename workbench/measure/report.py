"""Measuring one technique on one matrix: size, error, speed, and what they are held against."""

import math
from functools import cached_property, partial

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from workbench.errors import WorkbenchError
from workbench.measure.error import cosine, entropy_bits, max_error, relative_mse, snr_db
from workbench.measure.nulls import NULLS
from workbench.measure.plain import PlainRounding
from workbench.measure.timing import time_call
from workbench.techniques.base import Technique, dense_product
from workbench.validation import checked_weights

TIMING_S = 0.2  # of one product; a chart of techniques wants milliseconds told from microseconds


class Report(BaseModel):
    """What one technique did to one matrix. Every number was measured, none is a formula."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tensor: str = Field(description="name of the matrix")
    technique: str = Field(description="id of the technique")
    parameters: dict = Field(description="its parameters")
    nbytes: int = Field(description="bytes of the saved file, side information included")
    bits_per_weight: float = Field(description="8 * nbytes / weights")
    rel_mse: float = Field(description="sum (w - d)^2 / sum w^2")
    snr_db: float = Field(description="-10 log10(rel_mse); infinite where nothing is lost")
    cosine: float = Field(description="cosine between the matrices as vectors")
    matmul_s: float | None = Field(description="median seconds of a product with one token")
    max_error: float = Field(description="largest abs(w - d)")
    output_rel_mse: float | None = Field(
        description="sum (Wx - y)^2 / sum (Wx)^2 on real activations x, y from matmul"
    )
    entropy_bits: float = Field(description="empirical entropy of the codes, bits a weight")
    plain_rel_mse: float | None = Field(
        description="what plain uniform rounding leaves at the same number of bytes"
    )
    nulls: dict[str, float] | None = Field(
        description="rel_mse of the same technique on shuffled, Gaussian and Laplace weights"
    )
    source: str = Field(
        description="how the file held the matrix: what that rounded away is in no error here"
    )

    @property
    def gain_db(self) -> float | None:
        """How much less error than plain rounding at equal bytes; below 0: plain is better."""
        if self.plain_rel_mse is None:
            return None
        if self.rel_mse == self.plain_rel_mse:
            return 0.0
        return self.snr_db - snr_db(self.plain_rel_mse)

    def row(self) -> dict:
        """The report as one flat row of JSON values; what is infinite or not measured is None."""
        row = self.model_dump(mode="json", exclude={"nulls"})
        row["gain_db"] = self.gain_db
        for name in NULLS:
            row[f"{name}_rel_mse"] = None if self.nulls is None else self.nulls[name]
        return {
            key: None if isinstance(value, float) and not math.isfinite(value) else value
            for key, value in row.items()
        }


class Subject:
    """A matrix and all that reports about it are held against, each made once, when first needed.

    Parameters
    ----------
    weights : float array (rows, cols)
    x : float array (tokens, cols), optional
        Real inputs, a row a token, as `workbench.models.activations` returns them.
    name : str
    source : str
        How the file held the matrix, such as "Q4_1".
    rng : numpy.random.Generator or int
        For the nulls and, where there is no `x`, the token that is timed.
    """

    def __init__(
        self,
        weights: np.ndarray,
        x: np.ndarray | None = None,
        *,
        name: str = "",
        source: str = "",
        rng: np.random.Generator | int = 0,
    ):
        self.name = name
        self.source = source
        self.weights = checked_weights(weights)
        self.x = None if x is None else self._checked_inputs(x)
        self._rng = np.random.default_rng(rng)

    @cached_property
    def plain(self) -> PlainRounding:
        """Plain rounding of the matrix, by bytes."""
        return PlainRounding(self.weights)

    @cached_property
    def nulls(self) -> dict[str, np.ndarray]:
        """The matrices without structure, by name."""
        return {name: make(self.weights, rng=self._rng) for name, make in NULLS.items()}

    @cached_property
    def outputs(self) -> np.ndarray:
        """``weights @ x.T``."""
        return dense_product(self.x, self.weights).T

    @cached_property
    def token(self) -> np.ndarray:
        """The input that is timed: the first of `x`, or Gaussian noise."""
        if self.x is not None:
            return self.x[0]
        return self._rng.standard_normal(self.weights.shape[1], np.float32)

    def report(
        self,
        technique: Technique,
        *,
        nulls: bool = True,
        plain: bool = True,
        timing: bool = True,
        threads: int = 1,
    ) -> Report:
        """Encode, decode, multiply, and measure each; see `measure`."""
        encoded = technique.encode(self.weights)
        decoded = encoded.decode()
        rel_mse = relative_mse(self.weights, decoded)
        return Report(
            tensor=self.name,
            technique=technique.id,
            parameters=technique.model_dump(mode="json"),
            nbytes=encoded.nbytes,
            bits_per_weight=encoded.bits_per_weight,
            rel_mse=rel_mse,
            snr_db=snr_db(rel_mse),
            cosine=cosine(self.weights, decoded),
            matmul_s=self._matmul_seconds(encoded, threads) if timing else None,
            max_error=max_error(self.weights, decoded),
            output_rel_mse=self._output_error(encoded, threads),
            entropy_bits=entropy_bits(encoded.codes()),
            plain_rel_mse=self.plain.rel_mse(encoded.nbytes) if plain else None,
            nulls=self._null_errors(technique) if nulls else None,
            source=self.source,
        )

    def _matmul_seconds(self, encoded, threads):
        product = partial(encoded.matmul, self.token, threads)
        return time_call(product, threads=threads, seconds=TIMING_S).median_s

    def _output_error(self, encoded, threads):
        if self.x is None:
            return None
        return relative_mse(self.outputs, encoded.matmul(self.x.T, threads))

    def _null_errors(self, technique):
        return {
            name: relative_mse(matrix, technique.encode(matrix).decode())
            for name, matrix in self.nulls.items()
        }

    def _checked_inputs(self, x):
        x = np.asarray(x)
        if x.ndim != 2 or x.shape[1] != self.weights.shape[1] or x.shape[0] == 0:
            raise WorkbenchError(
                f"x has shape {x.shape}, but this matrix takes (tokens, {self.weights.shape[1]})"
            )
        if x.dtype.kind != "f":
            raise TypeError(f"x is {x.dtype}, but must be a float type")
        if not np.isfinite(x).all():
            raise WorkbenchError("x holds NaN or infinity; activations must be finite")
        return np.ascontiguousarray(x, np.float32)


def measure(
    technique: Technique,
    weights: np.ndarray,
    x: np.ndarray | None = None,
    *,
    tensor: str = "",
    source: str = "",
    nulls: bool = True,
    plain: bool = True,
    rng: np.random.Generator | int = 0,
    timing: bool = True,
    threads: int = 1,
) -> Report:
    """Measure one technique on one matrix.

    Parameters
    ----------
    technique : Technique
    weights : float array (rows, cols)
    x : float array (tokens, cols), optional
        Real inputs, a row a token, as `workbench.models.activations` returns them; without them
        `output_rel_mse` is None.
    tensor, source : str
        The name that the report shall carry, and how the file held the matrix.
    nulls, plain : bool
        Whether to measure the same technique on matrices without structure (three more encodings),
        and plain rounding at the same number of bytes (some twenty).
    rng : numpy.random.Generator or int
        For the nulls.
    timing : bool
        Whether to time a product with one token.
    threads : int
        Of the product.

    Examples
    --------
    >>> import numpy as np
    >>> import workbench as wb
    >>> weights = np.random.default_rng(0).standard_normal((64, 256))
    >>> report = wb.measure(wb.technique("uniform", bits=4), weights, timing=False)
    >>> report.nbytes, round(report.snr_db, 1), round(report.gain_db, 1)
    (8800, 19.1, -0.3)
    """
    subject = Subject(weights, x, name=tensor, source=source, rng=rng)
    return subject.report(technique, nulls=nulls, plain=plain, timing=timing, threads=threads)
