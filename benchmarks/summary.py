"""Owns the tables that `search.py` prints, and the verdict on its promises."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

Row = Mapping[str, str]
K = TypeVar("K")
NEGLIGIBLE = 0.0005
"""Mean regrets below this are a tie that nobody loses."""
BUDGETS = ("12", "24")
OURS, TO_THE_END, RULE, REFERENCE = "certified", "certified to its end", "size rule", "exhaustive"
BETTER_SHARE = 0.8
MAX_FALSE = 0.01
"""Accepted share of false claims; also the alpha of the searches."""
MAX_TRAINED = 0.08
MONOTONE, OTHER = "monotone errors", "errors that are not monotone"


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """A table of candidates, or a family of them, with a level of noise."""

    space: str
    family: str
    noise: float


def summarize(rows: Sequence[Row]) -> int:
    """Print all tables; 1 if a promise is broken, as far as the methods that ran can tell."""
    kept = [
        regrets_kept(rows, budget) for budget in BUDGETS if any(row["budget"] == budget for row in rows)
    ]  # every table is printed, whatever the one before says
    kept += [honesty_kept(rows), trainings_kept(rows)]
    print("\nevery promise kept" if all(kept) else "\nBROKEN: see the lines marked so")
    return int(not all(kept))


def regrets_kept(rows: Sequence[Row], budget: str) -> bool:
    """Mean regrets with one budget, instance by instance; whether ours is better as often as promised."""
    regrets = _regrets(row for row in rows if row["budget"] == budget)
    reference = _regrets(row for row in rows if row["method"] == REFERENCE)
    methods = list(dict.fromkeys(method for by_method in regrets.values() for method in by_method))
    print(f"\n## Regret after {budget} evaluations, in percent: mean over the seeds\n")
    print("| space | family | noise | " + " | ".join([*methods, f"{REFERENCE} (all)"]) + " |")
    print("|---" * (4 + len(methods)) + "|")
    for instance, by_method in regrets.items():
        means = [_mean(by_method.get(method)) for method in methods] + [_mean(reference[instance].get(REFERENCE))]
        lowest = min((mean for mean in means[:-1] if mean is not None), default=None)
        cells = [_cell(mean, bold=mean is not None and mean == lowest) for mean in means]
        print(f"| {instance.space} | {instance.family} | {instance.noise:.0%} | " + " | ".join(cells) + " |")
    noises = sorted({instance.noise for instance in regrets})
    for name, chosen in [*((f"{noise:.0%}", {noise}) for noise in noises), ("all", set(noises))]:
        means = [_mean_of_means(regrets, method, chosen) for method in methods]
        means.append(_mean_of_means(reference, REFERENCE, chosen))
        print(f"| all | all | {name} | " + " | ".join(_cell(mean, bold=False) for mean in means) + " |")
    print()
    return _wins_kept(regrets, [method for method in methods if method != OURS], budget)


def _wins_kept(
    regrets: Mapping[Instance, Mapping[str, Mapping[int, float]]], baselines: Sequence[str], budget: str
) -> bool:
    """One line a baseline, and one for all of them at once."""
    if not baselines or not any(OURS in by_method for by_method in regrets.values()):
        return True
    print(
        f"| {OURS} after {budget} evaluations against | better or tied on | strictly | single runs: won, tied, lost |"
    )
    print("|---|---|---|---|")
    kept, better_than_all, total = True, 0, 0
    outcomes = {method: [_compare(item, method) for item in regrets.values()] for method in baselines}
    for method, compared in outcomes.items():
        known = [item for item in compared if item is not None]
        share = np.mean([item[0] for item in known]) if known else 1.0
        strictly = np.mean([item[1] for item in known]) if known else 1.0
        won, tied, lost = np.mean([item[2:] for item in known], axis=0) if known else (0.0, 0.0, 0.0)
        print(f"| {method} | {share:.1%} of {len(known)} | {strictly:.1%} | {won:.0%}, {tied:.0%}, {lost:.0%} |")
    for compared in zip(*outcomes.values(), strict=True):
        known = [item for item in compared if item is not None]
        total += bool(known)
        better_than_all += bool(known) and all(item[0] for item in known)
    share = better_than_all / max(total, 1)
    kept &= share >= BETTER_SHARE
    print(f"| every one at once | {share:.1%} of {total}{'' if kept else ' BROKEN'} | | |")
    noises = {instance.noise for instance in regrets}
    ours, rule = (_mean_of_means(regrets, method, noises) for method in (OURS, RULE))
    if ours is not None and rule is not None:
        kept &= ours <= rule
        print(f"\nOn average {ours:.2%}, the size rule {rule:.2%}{'' if ours <= rule else ' BROKEN'}")
    return kept


def _compare(
    by_method: Mapping[str, Mapping[int, float]], method: str
) -> tuple[bool, bool, float, float, float] | None:
    """Ours against a method over the seeds of both: better or tied, strictly better, runs won, tied and lost."""
    seeds = sorted(by_method.get(OURS, {}).keys() & by_method.get(method, {}).keys())
    if not seeds:
        return None
    ours, theirs = (np.array([by_method[name][seed] for seed in seeds]) for name in (OURS, method))
    difference = ours - theirs
    won, lost = np.mean(difference < -NEGLIGIBLE), np.mean(difference > NEGLIGIBLE)
    better = bool(ours.mean() < theirs.mean())
    return better or bool(ours.mean() < NEGLIGIBLE), better, float(won), float(1 - won - lost), float(lost)


def honesty_kept(rows: Sequence[Row]) -> bool:
    """How often the true ratio was below the claimed one; whether that is as seldom as promised."""
    claims = [row for row in rows if float(row["ratio"]) > 0]
    if not claims:
        return True
    print("\n## Honesty: claims of a ratio that the truth falls short of\n")
    print("| method | evaluations | assumption | " + f"{MONOTONE} | {OTHER} |")
    print("|---|---|---|---|---|")
    for (method, budget, assumption), group in sorted(_grouped(claims, _claim).items()):
        print(f"| {method} | {budget} | {assumption} | {_false_claims(group, '1')} | {_false_claims(group, '0')} |")
    kept = True
    for assumption, group in sorted(_grouped(claims, lambda row: row["assumption"]).items()):
        is_broken = sum(map(_is_false, group)) > MAX_FALSE * len(group)
        kept &= not is_broken
        cells = f"{_false_claims(group, '1')} | {_false_claims(group, '0')}{' BROKEN' if is_broken else ''}"
        print(f"| all | all | {assumption} | {cells} |")
    return kept


def _claim(row: Row) -> tuple[str, str, str]:
    return row["method"], row["budget"], row["assumption"]


def _false_claims(rows: Iterable[Row], is_monotone: str) -> str:
    chosen = [row for row in rows if row["monotone"] == is_monotone]
    return f"{sum(map(_is_false, chosen))} of {len(chosen)}"


def _is_false(row: Row) -> bool:
    return 1 - float(row["regret"]) < float(row["ratio"]) - 2e-9


def trainings_kept(rows: Sequence[Row]) -> bool:
    """What the certified search trains until it ends by itself; whether that is as little as promised at 2% noise."""
    ended = [row for row in rows if row["method"] == TO_THE_END]
    if not ended:
        return True
    print("\n## The certified search until it ends: epsilon = 0.05\n")
    print(
        "| space | family | noise | claimed | median evaluations | median share of candidates trained | mean regret |"
    )
    print("|---|---|---|---|---|---|---|")
    for instance, group in _grouped(ended, _instance).items():
        claimed = np.mean([float(row["ratio"]) >= 0.95 for row in group])
        evaluations = np.median([int(row["evaluations"]) for row in group])
        regret = np.mean([float(row["regret"]) for row in group])
        print(
            f"| {instance.space} | {instance.family} | {instance.noise:.0%} | {claimed:.0%} | {evaluations:.0f} | "
            f"{np.median([_share(row) for row in group]):.1%} | {regret:.2%} |"
        )
    promised = [row for row in ended if float(row["noise"]) == 0.02]
    if not promised:
        return True
    print("\n| space | candidates | trained at 2% noise, mean | share |\n|---|---|---|---|")
    for space, group in _grouped(promised, lambda row: row["space"]).items():
        trained, candidates = np.mean([int(row["trained"]) for row in group]), int(group[0]["candidates"])
        print(f"| {space} | {candidates} | {trained:.0f} | {trained / candidates:.1%} |")
    by_instance = [np.median([_share(row) for row in group]) for group in _grouped(promised, _instance).values()]
    shares, kept = [_share(row) for row in promised], float(np.median(by_instance)) <= MAX_TRAINED
    print(
        f"\nAt 2% noise {np.median(by_instance):.1%} of the candidates are trained (median of the instances' medians), "
        f"{np.median(shares):.1%} (median of the runs), {np.mean(shares):.1%} (mean of the runs); "
        f"{np.mean(np.array(by_instance) <= MAX_TRAINED):.0%} of the instances are at or below {MAX_TRAINED:.0%}"
        f"{'' if kept else ' BROKEN'}"
    )
    return kept


def _share(row: Row) -> float:
    return int(row["trained"]) / int(row["candidates"])


def _instance(row: Row) -> Instance:
    return Instance(space=row["space"], family=row["family"], noise=float(row["noise"]))


def _grouped(rows: Iterable[Row], key: Callable[[Row], K]) -> dict[K, list[Row]]:
    groups: dict[K, list[Row]] = defaultdict(list)
    for row in rows:
        groups[key(row)].append(row)
    return groups


def _regrets(rows: Iterable[Row]) -> dict[Instance, dict[str, dict[int, float]]]:
    """Instance -> method -> seed -> regret."""
    regrets: dict[Instance, dict[str, dict[int, float]]] = defaultdict(lambda: defaultdict(dict))
    for row in rows:
        regrets[_instance(row)][row["method"]][int(row["seed"])] = float(row["regret"])
    return regrets


def _mean(by_seed: Mapping[int, float] | None) -> float | None:
    return float(np.mean(list(by_seed.values()))) if by_seed else None


def _mean_of_means(
    regrets: Mapping[Instance, Mapping[str, Mapping[int, float]]], method: str, noises: Collection[float]
) -> float | None:
    chosen = [by_method.get(method) for instance, by_method in regrets.items() if instance.noise in noises]
    means = [mean for by_seed in chosen if (mean := _mean(by_seed)) is not None]
    return float(np.mean(means)) if means else None


def _cell(mean: float | None, *, bold: bool) -> str:
    if mean is None:
        return ""
    return f"**{100 * mean:.2f}**" if bold else f"{100 * mean:.2f}"
