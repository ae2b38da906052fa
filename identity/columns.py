"""Column-wise helpers: work once per distinct value, never once per record."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray


NO_PROFILE = -1  # stands where a record has no number


def map_distinct(function: Callable[[str], str | None], values: pd.Series) -> pd.Series:
    """Apply a function to each distinct text once; NA stays NA, and None becomes NA."""
    codes, distinct = pd.factorize(values)
    results = pd.Series([function(value) for value in distinct], dtype="str")
    return results.reindex(codes).set_axis(values.index)


def number_distinct(values: pd.Series) -> NDArray[np.int64]:
    """Number the distinct values in order of appearance; NA is -1."""
    return np.asarray(pd.factorize(values)[0], dtype=np.int64)


def look_up(numbers: pd.Series, keys: pd.Series) -> NDArray[np.int64]:
    """Return the number under each key, -1 where there is none."""
    return np.asarray(keys.map(numbers).fillna(NO_PROFILE), dtype=np.int64)


def first_known(*numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return per record the first number that is not -1."""
    result = numbers[0]
    for other in numbers[1:]:
        result = np.where(result == NO_PROFILE, other, result)
    return result
