"""An activation and the segments in its place, over the inputs that it sees."""

from typing import TYPE_CHECKING, Any

import numpy as np

from .._optional import require

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw_compiled_site(site: Any) -> "Figure":
    """Draw a compiled activation above its error.

    Args:
        site: A `keras_actfn.surgery.CompiledSite`.

    Returns:
        A `matplotlib.figure.Figure`: above, the old function, the segments with their breakpoints
        and the density of the inputs; below, the difference of the two functions.
    """
    figure = require("matplotlib.figure", extra="plot").Figure(
        figsize=(6.0, 4.6), layout="constrained"
    )
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    x = site.middles
    shaded = above.twinx()
    shaded.fill_between(x, site.density, color="0.88", linewidth=0, zorder=0)
    shaded.set_yticks([])
    shaded.set_ylim(0, 1.15 * site.density.max())
    above.set_zorder(shaded.get_zorder() + 1)
    above.patch.set_visible(False)
    above.plot(x, site.values, color="C0", linewidth=2.5, alpha=0.6, label=site.site.activation)
    inside = site.segments.breakpoints
    ends = np.concatenate([[site.segments.low], inside, [site.segments.high]])
    above.plot(ends, site.segments(ends), color="C1", label=f"{len(site.segments)} segments")
    above.plot(inside, site.segments(inside), "o", color="C1", markersize=3)
    above.legend(frameon=False, loc="upper left")
    above.set_title(
        f"{site.site.path}: RMS error {site.rms:.1e} ({site.rms_even:.1e} with even breakpoints)",
        fontsize=9,
    )
    below.axhline(0, color="0.85", linewidth=0.8)
    below.plot(x, site.segments(x) - site.values, color="C1", linewidth=1)
    below.set_ylabel("error")
    below.set_xlabel("input of the activation; grey: its density")
    return figure
