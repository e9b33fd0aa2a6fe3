"""The format of numbers in the report."""

from collections.abc import Callable
from functools import wraps

from slimspeech.evaluation.metrics import METRICS
from slimspeech.formatting import MISSING, file_size, weight_count
from slimspeech.report.results import Interval


def _optional(write: Callable[[float], str]) -> Callable[[float | None], str]:
    """The same format, and MISSING for None."""

    @wraps(write)
    def write_optional(value: float | None) -> str:
        return MISSING if value is None else write(value)

    return write_optional


count = _optional(weight_count)
size = _optional(file_size)


def score(metric: str, value: float | None) -> str:
    """The scores of sacreBLEU have a maximum of 100, those of COMET models of about 1."""
    if value is None:
        return MISSING
    return f"{value:.1f}" if metric in METRICS else f"{value:.3f}"


@_optional
def percent(value: float) -> str:
    return f"{value:.1f}"


@_optional
def ratio(value: float) -> str:
    """Three significant digits without an exponent: 0.012, 1.23, 123."""
    if value == 0:
        return "0"
    digits = max(0, 3 - len(str(int(abs(value))))) if abs(value) >= 1 else 3
    return f"{value:.{digits}f}"


@_optional
def duration(seconds: float) -> str:
    """Such as 0.4 s, 2 min 5 s or 3 h 25 min."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 1:
        return f"{rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


@_optional
def p_value(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def spread(interval: Interval | None, write: Callable[[float], str] = ratio) -> str:
    """low – high, or an empty text if they are unknown."""
    if interval is None or not interval.has_ends:
        return ""
    return f"{write(interval.low)} – {write(interval.high)}"
