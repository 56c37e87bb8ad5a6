"""The picture of a calibration: reports over attenuation, the line, what is off it."""

from __future__ import annotations

from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from bench.radio.calibration import Calibration


def save_png(calibration: Calibration, path: Path) -> None:
    """Draw it."""
    figure = Figure(figsize=(8, 5), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    told = [(p.attenuation, p.rsrp, p.rising) for p in calibration.points if p.rsrp is not None]
    for rising, marker, name in ((True, "^", "on the way up"), (False, "v", "on the way down")):
        rows = [(db, rsrp) for db, rsrp, up in told if up is rising]
        axes.plot([r[0] for r in rows], [r[1] for r in rows], marker, markersize=6, label=name)
    ends = [0.0, max(db for db, _, _ in told)]
    line = [calibration.intercept - calibration.slope * db for db in ends]
    axes.plot(ends, line, color="black", linewidth=0.8, label=f"slope {calibration.slope:.3f}")
    if calibration.lost_at is not None:
        axes.axvline(calibration.lost_at, color="#969696", linestyle=":", label="no cell from here on")
    if calibration.floor is not None:
        axes.axhline(calibration.floor, color="#cb181d", linestyle="--", label="leaks past the attenuator")
    axes.set_xlabel("attenuation [dB]")
    axes.set_ylabel("the device reports [dBm]")
    axes.grid(True, alpha=0.3)
    axes.legend(fontsize=9)
    verdict = "; ".join(calibration.problems) or "fit for use"
    axes.set_title(
        f"{calibration.board} at {calibration.path}, {calibration.date}: RMS {calibration.rms:.2f} dB, "
        f"hysteresis {calibration.hysteresis:.2f} dB\n{verdict}",
        loc="left",
        fontsize=9,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Software": None})
