"""Byte-pair encoding: the merges that make a token."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from optimum_ose.vocabulary.table import TokenTable


@dataclass(frozen=True, slots=True)
class Merges:
    """The merges of a tokenizer, with the marks that its tokens carry inside and at the end of a word."""

    ranks: Mapping[tuple[str, str], int]
    """Pair -> its place in the list of merges; the lowest is merged first."""
    prefix: str
    """Of tokens inside a word; may be empty."""
    suffix: str
    """Of tokens at the end of a word; may be empty."""

    @classmethod
    def of(cls, table: TokenTable) -> "Merges":
        """The merges of a tokenizer of the kind BPE."""
        pairs = [pair_of(entry) for entry in table.settings["merges"]]
        return cls(
            ranks={pair: rank for rank, pair in enumerate(pairs)},
            prefix=table.settings.get("continuing_subword_prefix") or "",
            suffix=table.settings.get("end_of_word_suffix") or "",
        )

    def joined(self, left: str, right: str) -> str:
        """The token that a pair becomes."""
        return left + right[len(self.prefix) :]

    def symbols(self, token: str) -> list[str]:
        """The characters of a token, with the marks of their place in a word: what merging begins with."""
        inside = bool(self.prefix) and token.startswith(self.prefix) and len(token) > len(self.prefix)
        plain = token.removeprefix(self.prefix) if inside else token
        ends = bool(self.suffix) and plain.endswith(self.suffix) and len(plain) > len(self.suffix)
        plain = plain.removesuffix(self.suffix) if ends else plain
        marked = [
            character if place == 0 and not inside else self.prefix + character for place, character in enumerate(plain)
        ]
        if ends and marked:
            marked[-1] += self.suffix
        return marked

    def made_on_the_way(self, token: str) -> set[str]:
        """The characters of a token and what merging makes of them, up to the token; empty if they make another.

        What merges inside a token does not depend on the rest of the word: a merge across its ends would leave another
        token. So each token is made in one way.
        """
        parts = self.symbols(token)
        made = set(parts)
        while len(parts) > 1:
            ranked = [(self.ranks.get(pair), place) for place, pair in enumerate(itertools.pairwise(parts))]
            known = [(rank, place) for rank, place in ranked if rank is not None]
            if not known:
                break
            _, place = min(known)
            parts[place : place + 2] = [self.joined(parts[place], parts[place + 1])]
            made.add(parts[place])
        return made if parts == [token] else set()


def pair_of(entry: str | Sequence[str]) -> tuple[str, str]:
    """The two tokens of a merge, as any version of the library tokenizers writes it: a pair, or a line of text."""
    left, right = entry.split(" ") if isinstance(entry, str) else entry
    return left, right
