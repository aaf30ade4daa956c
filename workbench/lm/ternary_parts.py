"""Embeddings and norm weights as trits: what seed 001 does besides matrices and caches.

>>> import numpy as np
>>> table = ternary_table(np.array([[0.9, -0.1, -1.1, 0.4], [2.0, 2.0, -2.0, 2.0]]))
>>> table.lookup(np.array([1, 0]))
array([[ 2.,  2., -2.,  2.],
       [ 1.,  0., -1.,  0.]], dtype=float32)
>>> table.nbytes  # 4 of trits, as four rows share bytes, and 8 of scales
12
"""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from jaxtyping import Float32

from workbench import ternary
from workbench.errors import WorkbenchError
from workbench.lm.stores import ROUNDING, Mode

GainMode = Literal["half", Mode]

# gains lie around one value, which a threshold of half the largest keeps: seed 001's rule for norms
GAIN_ROUNDING = {"half": {"rounding": "absmax", "threshold": 0.5}, **ROUNDING}


@dataclass(frozen=True, eq=False)
class TernaryTable:
    """Rows of trits in 2 bits, four rows a byte, and a float32 scale a row.

    Attributes
    ----------
    trits : Packed
    scales : float32 array (rows,)
    """

    trits: ternary.Packed
    scales: Float32[np.ndarray, " rows"]

    @property
    def nbytes(self) -> int:
        """Bytes of both arrays."""
        return self.trits.nbytes + self.scales.nbytes

    def lookup(self, rows: np.ndarray) -> Float32[np.ndarray, "n cols"]:
        """Some rows as float32, read from their bytes alone.

        Parameters
        ----------
        rows : integer array (n,)
        """
        byte, place = np.divmod(rows, 4)
        codes = self.trits.data[byte] >> (2 * place).astype(np.uint8)[:, None] & np.uint8(3)
        return (codes.astype(np.float32) - 1) * self.scales[rows][:, None]

    def decode(self) -> Float32[np.ndarray, "rows cols"]:
        """All rows."""
        return ternary.unpack(self.trits) * self.scales[:, None]


@dataclass(frozen=True, eq=False)
class TernaryGains:
    """The weights of a norm as trits in 2 bits and one float32 scale.

    Attributes
    ----------
    table : TernaryTable
        Four rows, so that every byte is full: quarter p of the channels is row p, each row with
        the same scale, which is counted once.
    channels : int
    """

    table: TernaryTable
    channels: int

    @property
    def nbytes(self) -> int:
        """Bytes of the trits and of the one scale."""
        return self.table.trits.nbytes + self.table.scales.itemsize

    def decode(self) -> Float32[np.ndarray, " channels"]:
        """The weights that they stand for."""
        return self.table.decode().ravel()[: self.channels]


def ternary_table(matrix: np.ndarray, mode: Mode = "optimal") -> TernaryTable:
    """A matrix such as an embedding as trits, with a scale a row.

    Parameters
    ----------
    matrix : float array (rows, cols)
    mode : {"fixed", "none", "rms", "optimal"}
        As in `workbench.lm.stores.CodeStore`.

    Raises
    ------
    TypeError, WorkbenchError
        No finite float matrix, or an unknown mode.
    """
    _check("mode", mode, get_args(Mode))
    trits = ternary.quantize(matrix, **ROUNDING[mode])
    return TernaryTable(ternary.pack(trits.codes), trits.scales[:, 0])


def ternary_gains(gains: np.ndarray, mode: GainMode = "half") -> TernaryGains:
    """The weights of a norm as trits with one scale.

    Parameters
    ----------
    gains : float array (channels,)
    mode : {"half", "fixed", "none", "rms", "optimal"}
        "half" keeps what is above half the largest and gives it the largest's magnitude, as seed
        001 does; the others as in `workbench.lm.stores.CodeStore`.

    Raises
    ------
    TypeError, WorkbenchError
        No finite float array of one axis, or an unknown mode.
    """
    _check("mode", mode, get_args(GainMode))
    gains = np.asarray(gains)
    if gains.ndim != 1:
        raise WorkbenchError(f"gains have shape {gains.shape}, but must have one axis (channels)")
    trits = ternary.quantize(gains[None], **GAIN_ROUNDING[mode])
    rows = np.zeros((4, -(-len(gains) // 4)), np.int8)
    rows.ravel()[: len(gains)] = trits.codes[0]
    scales = np.repeat(trits.scales[:, 0], 4)
    return TernaryGains(TernaryTable(ternary.pack(rows), scales), len(gains))


def _check(name, value, allowed):
    if value not in allowed:
        raise WorkbenchError(f"{name}={value!r} is not allowed: it is one of {', '.join(allowed)}")
