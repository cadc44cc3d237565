"""Names of tensors that were saved from inside a wrapper, such as torch.compile's or DataParallel's."""

from collections.abc import Collection

_ANYWHERE = ("_orig_mod.", "_fsdp_wrapped_module.", "_checkpoint_wrapped_module.")
"""Of torch.compile, FSDP and activation checkpointing: no Transformers model has parts of these names."""
_IN_FRONT = ("module.", "model.", "net.", "network.", "_forward_module.")
"""Of DataParallel, Lightning, DeepSpeed and the like; removed only where the name fits no tensor otherwise."""


def without_wrappers(stored: Collection[str], expected: Collection[str], *, base: str) -> dict[str, str]:
    """New names of the tensors whose names in a file begin with, or hold, the name of a known wrapper.

    Args:
        stored: names in the files.
        expected: names in the model.
        base: prefix of the model's body ("bert."), which files may have or lack.

    Returns:
        Name in the file -> name without wrappers; empty if no name has to change.
    """
    known = {*expected, *(name.removeprefix(base) for name in expected)}
    if not any(name.startswith(base) for name in expected):  # the body alone, maybe stored inside a model with a head
        known |= {base + name for name in expected}
    renamed = {name: plain for name in stored if name not in known and (plain := _plain(name, known)) != name}
    fronts = {name[: len(name) - len(plain)] for name, plain in renamed.items() if name.endswith(plain)}
    for name in set(stored) - known - set(renamed):  # what the model lacks lies in the same wrapper
        front = max((front for front in fronts if name.startswith(front)), key=len, default="")
        plain = _everywhere(name.removeprefix(front))
        if plain != name:
            renamed[name] = plain
    return renamed


def _plain(name: str, known: Collection[str]) -> str:
    """The name without the wrappers that have to go for it to be known; the name itself if none of that helps."""
    plain = _everywhere(name)
    while plain not in known:
        front = next((front for front in _IN_FRONT if plain.startswith(front)), None)
        if front is None:
            return name
        plain = plain.removeprefix(front)
    return plain


def _everywhere(name: str) -> str:
    for wrapper in _ANYWHERE:
        name = name.replace(wrapper, "")
    return name
