"""Plot the samples of a soak test over time."""
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gaze_ros.core.errors import GazeRosError
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
import numpy as np

#: Colours that colour-blind people can distinguish (Okabe and Ito).
COLOURS = ('#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9')

#: Size of a panel in inches, and dots per inch.
_PANEL, _DPI = (7.6, 3.0), 100


@dataclass(frozen=True)
class Panel:
    """Curves with one axis.

    :ivar title: with the unit.
    :ivar curves: (N,) values by name; NaN leaves a gap.
    :ivar from_zero: whether the axis starts at 0.
    """

    title: str
    curves: Mapping[str, np.ndarray]
    from_zero: bool = True


def plot(path: Path, title: str, seconds: np.ndarray, panels: Sequence[Panel],
         shaded: float = 0.0) -> None:
    """Save the panels, two per row, as a PNG.

    :param seconds: (N,) times of all curves.
    :param shaded: seconds at the start that are shaded: the warm-up.
    :raises GazeRosError: if the file cannot be written.
    """
    rows = max(1, -(-len(panels) // 2))
    figure = Figure((2 * _PANEL[0], rows * _PANEL[1] + 0.5), _DPI, layout='constrained')
    FigureCanvasAgg(figure)  # needs no display
    figure.suptitle(title)
    unit, length = ('h', 3600) if len(seconds) and seconds[-1] >= 7200 else ('min', 60)
    for axes, panel in zip(figure.subplots(rows, 2, squeeze=False).flat, panels):
        axes.set_prop_cycle(color=COLOURS)
        for name, values in panel.curves.items():
            axes.plot(np.asarray(seconds) / length, values, label=name)
        axes.set_title(panel.title, fontsize='medium')
        axes.set_xlabel(unit)
        axes.grid(color='#e1e1e1')
        if shaded > 0:
            axes.axvspan(0, shaded / length, color='#f4f4f4', zorder=0)
        if panel.from_zero:
            axes.set_ylim(bottom=0)
        if len(panel.curves) > 1:
            axes.legend(fontsize='small')
    try:
        figure.savefig(path)
    except OSError as e:
        raise GazeRosError(f"'{path}' cannot be written: {e}") from e
