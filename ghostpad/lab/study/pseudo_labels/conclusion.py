"""The pseudo-label study in words: targets met or missed, and a conclusion written from the figures, favourable or not.

Pure. Figures are those of `ghostpad.lab.study.pseudo_labels.tables`; comparisons are over the training seeds that both sides have.
"""

import math
from collections.abc import Mapping
from typing import Any

from ghostpad.games.spec import game_spec
from ghostpad.lab.study.common import Json, mean_sd, verdict
from ghostpad.lab.study.pseudo_labels.plan import ARMS

TWICE, OF_ORACLE = 2.0, 0.9
"""The targets, set before anything was measured: pseudo-labels with recorded pads over recorded pads alone, and over the oracle."""

JUDGED = (("doom", "doom"), ("doom", "doom-supreme"), ("racing", "racing"))
"""Agents and the game they are judged in."""


def find(results: Json, domain: str, arm: str, recorded: float, unlabelled: float, game: str) -> dict[str, Any] | None:
    """The figure of a point, None where it is not measured."""
    wanted = {"domain": domain, "arm": arm, "recorded": recorded, "unlabelled": unlabelled, "game": game}
    return next((point["figure"] for point in results["points"] if all(point[key] == value for key, value in wanted.items())), None)


def _arms(results: Json, domain: str, game: str) -> dict[str, dict[str, Any] | None]:
    """The figures of every arm in the centre, with the most unlabelled footage."""
    scale = results["scale"]
    return {arm: find(results, domain, arm, scale["centre"], 0 if arm == "truth" else scale["most"], game) for arm in ARMS}


def targets(results: Json) -> list[dict[str, Any]]:
    """The targets for each game: words, the raw and the scaled value by seed, the target, and whether it is met or missed.

    The verdict is by the raw returns, and by the scale between random and expert where the other side's are not two standard errors above
    0, as a multiple of nothing says nothing. "Does not help" means: not more than two standard errors above recorded pads alone.
    """
    lines = []
    for domain, game in JUDGED:
        truth, pseudo, shuffled, oracle = (_arms(results, domain, game)[arm] for arm in ("truth", "pseudo", "shuffled", "oracle"))
        if not (truth and pseudo):
            continue
        ratios = [("recorded + pseudo-labels over recorded alone", truth, TWICE)]
        if oracle:
            ratios.append((f"recorded + pseudo-labels over the oracle, {results['scale']['most']:g} unlabelled minutes", oracle, OF_ORACLE))
        lines += [
            {"game": game, "words": words, "target": f"≥ {target:g}"} | _ratio(pseudo, other, target) for words, other, target in ratios
        ]
        if shuffled and (gain := difference(shuffled, truth))["seeds"]:
            facts = {"game": game, "words": "recorded + shuffled minus recorded alone", "target": "≤ 2 s.e."}
            lines.append(facts | gain | {"verdict": "met" if gain["mean"] <= 2 * gain["sem"] else "missed"})
    return lines


def _ratio(one: Json, other: Json, target: float) -> dict[str, Any]:
    """Ratios of the means over the seeds that both have: of returns, and on the scale; None where the other's is not (clearly) above 0."""
    seeds = [seed for seed in one["by_seed"] if seed in other["by_seed"]]
    raw, scaled = (_over(one[kind], other[kind], seeds) for kind in ("by_seed", "at_by_seed"))
    raw = raw if other["mean"] > 2 * other["sem"] else None
    value = scaled if raw is None else raw
    return {"raw": raw, "scaled": scaled, "seeds": seeds, "verdict": verdict(None if value is None else {"mean": value}, target)}


def _over(one: Mapping[str, float], other: Mapping[str, float], seeds: list[str]) -> float | None:
    if not seeds or not all(seed in one and seed in other for seed in seeds):
        return None
    below = math.fsum(other[seed] for seed in seeds)
    return math.fsum(one[seed] for seed in seeds) / below if below > 0 else None


def difference(one: Json, other: Json) -> dict[str, Any]:
    """`one` minus `other`, seed by seed: mean and standard error, the larger of that over seeds and that over episodes."""
    seeds = [seed for seed in one["by_seed"] if seed in other["by_seed"]]
    if not seeds:
        return {"mean": 0.0, "sem": math.inf, "seeds": seeds}
    mean, sd = mean_sd([one["by_seed"][seed] - other["by_seed"][seed] for seed in seeds])
    episodes = math.hypot(*(side["sem_by_seed"][seed] for side in (one, other) for seed in seeds)) / len(seeds)
    return {"mean": mean, "sem": max(episodes, 0.0 if sd is None else sd / math.sqrt(len(seeds))), "seeds": seeds}


def conclusion(results: Json) -> list[str]:
    """How many targets are met, a paragraph a game, and what is not measured; unfavourable figures too."""
    verdicts = [one["verdict"] for one in results["targets"] if one["verdict"]]
    missed, open_ = (
        [f"{one['words']} in {game_spec(one['game']).title}" for one in results["targets"] if one["verdict"] == which]
        for which in ("missed", None)
    )
    first = f"{verdicts.count('met')} of {len(verdicts)} targets are met." if verdicts else "Nothing is measured yet."
    first += f" Missed: {'; '.join(missed)}." if missed else ""
    paragraphs = [first + (f" Not to be judged, as scripted players or common seeds are missing: {'; '.join(open_)}." if open_ else "")]
    paragraphs += [_game(results, domain, game) for domain, game in JUDGED]
    paragraphs += [one for one in (_generalist(results), _transfer(results)) if one]
    left, seeds = sum(len(names) for names in results["missing"].values()), len(results["seeds"])
    if left:
        paragraphs.append(f"{left} of {sum(results['asked'].values())} units are not done yet, so this may change.")
    if seeds < 3:
        paragraphs.append(f"Only {seeds} training seed{'' if seeds == 1 else 's'} of the three that were asked for.")
    return paragraphs


_CONTROLS = (
    ("oracle", "With the true pads in their place it returns", "pseudo", "the labels"),
    ("shuffled", "With the labels under other moments it returns", "truth", "recorded pads alone"),
    ("unfiltered", "Labels neither filtered nor weighed give", "pseudo", "filtered and weighed ones"),
)
"""Of each control: the arm, the beginning of its sentence, the arm it is compared with, and that in words."""


def _game(results: Json, domain: str, game: str) -> str:
    title, centre, most = game_spec(game).title, results["scale"]["centre"], results["scale"]["most"]
    arms = _arms(results, domain, game)
    truth, pseudo = arms["truth"], arms["pseudo"]
    if not (truth and pseudo):
        return f"{title}: not measured yet."
    sentences = [
        f"{title}: from {centre:g} recorded minutes alone an agent returns {figure_words(truth)}; with an IDM's pseudo-labels under "
        f"{most:g} more minutes it returns {figure_words(pseudo)}, {_against(pseudo, truth, 'recorded pads alone')}."
    ]
    for arm, words, baseline, baseline_words in _CONTROLS:
        if (one := arms[arm]) and (beside := arms[baseline]):
            sentences.append(f"{words} {figure_words(one)}, {_against(one, beside, baseline_words)}.")
    less = {minutes: find(results, domain, "pseudo", centre, minutes, game) for minutes in results["scale"]["unlabelled"]}
    if parts := [f"{minutes:g} minutes {figure_words(one)}" for minutes, one in less.items() if one and minutes < most]:
        sentences.append(f"With less footage: {', '.join(parts)}.")
    other = {minutes: find(results, domain, "pseudo", minutes, most, game) for minutes in results["scale"]["recorded"]}
    if parts := [
        f"{minutes:g} min {figure_words(alone)} alone, {figure_words(one)} with pseudo-labels under {most:g} more"
        for minutes, one in other.items()
        if one and minutes != centre and (alone := find(results, domain, "truth", minutes, 0, game))
    ]:
        sentences.append(f"From other amounts of recorded footage: {'; '.join(parts)}.")
    return " ".join(sentences)


def _generalist(results: Json) -> str | None:
    """What one agent for all games gains or loses beside the specialists, None where it is not measured."""
    sentences = []
    for domain, game in JUDGED:
        one, own = (_arms(results, whose, game)["pseudo"] for whose in ("all", domain))
        if one and own:
            sentences.append(f"in {game_spec(game).title} {figure_words(one)}, {_against(one, own, 'the specialist')}")
    return f"One agent and one IDM for both games return {'; '.join(sentences)}." if sentences else None


def _transfer(results: Json) -> str | None:
    """What unlabelled footage of a level gains an agent there, None where it is not measured."""
    scale, game = results["scale"], "doom-supreme"
    before = _arms(results, "doom", game)["pseudo"]
    words = {"tuned": "that agent fine-tuned", "pseudo": "an agent trained from scratch", "oracle": "one trained with the true pads"}
    sentences = [
        f"{who} returns {figure_words(one)}, {_against(one, before, 'the agent of the first level')}"
        for arm, who in words.items()
        if before and (one := find(results, "supreme", arm, scale["centre"], scale["transfer"], game))
    ]
    title = game_spec(game).title
    return f"{title}, seen only unlabelled for {scale['transfer']:g} minutes: {'; '.join(sentences)}." if sentences else None


def figure_words(one: Json) -> str:
    """A figure for people: `1,843 ± 29 (0.84)`: mean, standard error, place between random and expert."""
    return f"{one['mean']:,.0f} ± {one['sem']:,.0f}" + ("" if one["at"] is None else f" ({one['at']:.2f})")


def _against(one: Json, other: Json, words: str) -> str:
    gap = difference(one, other)
    if not gap["seeds"]:
        return f"not to be compared with {words}, as no training seed is common to both"
    size = f"{abs(gap['mean']):,.0f} ± {gap['sem']:,.0f}"
    if abs(gap["mean"]) <= 2 * gap["sem"]:
        return f"no more than the noise away from {words} ({size})"
    return f"{size} {'more' if gap['mean'] > 0 else 'less'} than {words}"
