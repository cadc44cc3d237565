"""Tries other values for every integer of a config, alone or together with integers that must keep pace with it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from optimum_ose.modeling.attributes import Attribute
from optimum_ose.modeling.axis import Axis, edits, shallow_values
from optimum_ose.modeling.probing import Build, Effect, Prober, effect
from optimum_ose.modeling.roles import has_standard_name, may_be_heads, may_be_unset

_MAX_PARTNERS = 8
"""How many integers are tried as partners of one that cannot change alone."""


def find_effects(
    prober: Prober, base: Build, depths: Mapping[str, Axis], attributes: Sequence[Attribute]
) -> tuple[Effect, ...]:
    """The effect of every other integer, seen at a small depth."""
    values, lengths = edits(depths, shallow_values(depths.values()))
    shallow = prober.build(values, lengths)
    if shallow is None:
        values, lengths, shallow = {}, {}, base
    effects = []
    for item in attributes:
        if item.path in depths:
            continue
        if item.value is None:
            unset = _unset(prober, item, shallow, values, lengths) if may_be_unset(item) else None
            effects += [unset] if unset else []
            continue
        seen = _seen(prober, item, shallow, values, lengths)
        if (
            shallow is not base
            and has_standard_name(item)
            and (seen is None or not (seen.changed or seen.has_settings))
        ):
            seen = _seen(prober, item, base, {}, {})
        if seen is None and has_standard_name(item) and not any(item.path in other.coupled for other in effects):
            seen = _coupled(prober, item, attributes, shallow, values, lengths)
        effects += [seen] if seen else []
    return tuple(item for item in effects if item.changed or item.renamed or may_be_heads(item.attribute))


def _seen(
    prober: Prober,
    item: Attribute,
    before: Build,
    values: Mapping[str, int],
    lengths: Mapping[str, tuple[int, int]],
) -> Effect | None:
    """The effect of the first other value that builds."""
    own = item.value or 1
    for probe in dict.fromkeys((own // 2, own * 2, own - 1)):
        after = prober.build({**values, item.path: probe}, lengths) if probe > 0 else None
        if after is not None:
            return effect(item, probe, before, after, value=own)
    return None


def _coupled(
    prober: Prober,
    item: Attribute,
    attributes: Sequence[Attribute],
    before: Build,
    values: Mapping[str, int],
    lengths: Mapping[str, tuple[int, int]],
) -> Effect | None:
    """The effect of an integer that builds only if others keep their proportion to it: equal ones first, then heads."""
    own = item.value or 1
    others = {other.path: other.value for other in attributes if other.value and other.path != item.path}
    equal = [path for path, value in others.items() if value == own]
    heads = [path for path in others if path.startswith(item.scope) and re.search(r"heads$|n_head$", path)]
    sets = [(path,) for path in (*equal, *heads)][:_MAX_PARTNERS]
    for partners in (*sets, tuple(equal), (*equal, *heads)):
        coupled = {path: others[path] for path in partners if path in others}
        for factor in (2, 4):
            if not coupled or any(value % factor for value in (own, *coupled.values())):
                continue
            changes = {path: value // factor for path, value in {**coupled, item.path: own}.items()}
            after = prober.build({**values, **changes}, lengths)
            if after is not None:
                return replace(effect(item, own // factor, before, after, value=own), coupled=coupled)
    return None


def _unset(
    prober: Prober, item: Attribute, shallow: Build, values: Mapping[str, int], lengths: Mapping[str, tuple[int, int]]
) -> Effect | None:
    """The effect of an attribute that is None, if some integer in its place gives the very same network."""
    for probe in (64, 2, 1):
        after = prober.build({**values, item.path: probe}, lengths)
        if after is None:
            continue
        seen = effect(item, probe, shallow, after, value=0)
        sizes = {
            shallow.shapes[name][index]
            for name, dimensions in seen.changed.items()
            for index in dimensions
            if after.shapes[name][index] == probe
        }
        for value in sizes:
            if prober.build({**values, item.path: value}, lengths) == shallow:
                return replace(seen, value=value)
    return None
