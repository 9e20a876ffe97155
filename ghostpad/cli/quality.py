"""The table that `ghostpad eval idm` prints: a row a measure, a column for the IDM, its interval and each baseline.

Pure: a report of `ghostpad.measure.evaluate` in, lines for a terminal out. 80 columns hold the IDM and three baselines.
"""

from collections.abc import Mapping
from typing import Any

from ghostpad.base.lines import text_table

_STICK = {"r2": "R2", "rmse": "RMSE", "moving_mae": "mean error, moved"}
_BUTTON = {
    "ap": "AP",
    "prevalence": "share pressed",
    "onset_f1_50ms": "press F1 50 ms",
    "release_f1_50ms": "release F1 50 ms",
    "ece": "ECE",
    "ece_floor": "ECE if perfect",
}
_SHORT = {"always_released": "released", "copy_previous": "copy", "prior": "prior"}
_CELL = 12


def quality_table(report: Mapping[str, Any]) -> str:
    """The main measures of every stick and button; below them lag, false presses and what thresholds keep."""
    others: dict[str, Any] = dict(report["baselines"]) | dict(report.get("beside") or {})
    rows = []
    for label, kind, part, measure in _rows(report["idm"]):
        own = _value(report["idm"], kind, part, measure)
        if own is None:
            continue  # a button that nobody presses: most of a pad in most games
        pair = _value(report.get("intervals") or {}, kind, part, measure)
        interval = f"{number(pair[0])} ... {number(pair[1])}" if isinstance(pair, list) else "-"
        rows.append([label, number(own), interval, *(number(_value(score, kind, part, measure)) for score in others.values())])
    head = ["", "IDM", "95 % of videos", *(_SHORT.get(name, name)[:_CELL] for name in others)]
    return "\n".join([text_table(head, rows), *_notes(report)])


def _rows(score: Mapping[str, Any]) -> list[tuple[str, str, str | None, str]]:
    rows: list[tuple[str, str, str | None, str]] = []
    for kind, measures in (("sticks", _STICK), ("buttons", _BUTTON)):
        for slot in score[kind]:
            rows += [(f"{slot.replace('_', ' ')} {words}", kind, slot, measure) for measure, words in measures.items()]
    if len(score["buttons"]) > 1:
        macro = {"ap_prevalence" if measure == "prevalence" else measure: words for measure, words in _BUTTON.items()}
        rows += [(f"all buttons {words}", "macro", None, measure) for measure, words in macro.items()]
    return rows


def _value(score: Mapping[str, Any], kind: str, slot: str | None, measure: str) -> Any:
    group = score.get(kind) or {}
    return (group if slot is None else group.get(slot) or {}).get(measure)


def number(value: float | None, spec: str = ".3f") -> str:
    """A figure for a table; a dash for None."""
    return "-" if value is None else format(value, spec)


def _notes(report: Mapping[str, Any]) -> list[str]:
    """Lines for what is not in the table."""
    score, notes = report["idm"], []
    if report["intervals"]["resamples"] == 0:
        notes.append(f"no intervals: {report['videos']} videos are fewer than the 3 that they need")
    lag = [f"{kind} {_lag(one)}" for kind, one in score["lag"].items() if kind == "sticks" or score["buttons"]]
    notes.append(f"lag (+ is late): {', '.join(lag)}")
    if score["buttons"] and (minutes := score["idle"]["minutes"]) >= 0.05:
        notes.append(f"false presses per idle minute: {score['idle']['false_presses_a_minute']:.2f} in {minutes:.1f} min without play")
    if before := report["calibration"].get("ece_before"):
        pairs = [f"{name} {number(value)} -> {number(_value(score, 'buttons', name, 'ece'))}" for name, value in before.items()]
        notes.append(f"ECE by calibration: {', '.join(pairs)}")
    if risk := report.get("risk"):
        kept = {name: one for kind in ("buttons", "sticks") for name, one in risk[kind].items()}
        shares = [
            f"{name} {number(one['error_share'], '.1%')} wrong, {number(one['kept_share'], '.1%')} kept" for name, one in kept.items()
        ]
        shares += [f"{name} no threshold" for name in risk["no_threshold"]]
        notes.append(f"kept by thresholds for at most {risk['eps']:.1%} wrong: {'; '.join(shares)}")
    return notes


def _lag(one: Mapping[str, Any] | None) -> str:
    if one is None:
        return "unknown"
    spread = "" if one["iqr_ms"] is None else f", middle half within {one['iqr_ms']:.0f} ms"
    return f"{one['median_rows']:+.2f} rows = {one['median_ms']:+.0f} ms{spread}"
