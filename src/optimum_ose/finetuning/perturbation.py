"""tau for text as a seam: rows in, one new row for each out; by neighboring tokens or by proposals of a masked LM."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, final

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from optimum_ose.exceptions import InvalidConfigError, UnsupportedModelError
from optimum_ose.finetuning.pool import Features
from optimum_ose.finetuning.tokens import TokenNeighbors, choose_positions, replace_tokens, token_kinds
from optimum_ose.modeling.prediction import evaluating, length_sorted_batches

_NUM_PROPOSALS = 10
_BATCH_SIZE = 64


def input_embeddings(model: PreTrainedModel) -> torch.Tensor:
    """A model's matrix of input embeddings, shape (vocabulary, width).

    Raises:
        UnsupportedModelError: if it has none.
    """
    try:
        return model.get_input_embeddings().get_parameter("weight")
    except (AttributeError, NotImplementedError) as error:
        raise UnsupportedModelError(
            "replacing words by their neighbors needs a model with a matrix of input embeddings",
            f"{type(model).__name__} has none",
            "Do without, or give a tau of your own where one can be given",
        ) from error


class TextPerturbation(Protocol):
    """tau for text: new token sequences near given ones."""

    def __call__(self, rows: Sequence[Features], *, generator: np.random.Generator) -> Sequence[Features]:
        """One new row for each given row, with the same columns.

        In token classification rows have `labels`, and those of a new row must stand at its own tokens: they tell
        which tokens bear a label (those that are not -100). What the label is, the labeler says.
        """


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class NeighborReplacement:
    """Each word of a row gives way, with a probability, to one of its neighbors in an embedding space.

    Args:
        neighbors: which tokens may replace a token.
        probability: share of the words that one proposal replaces, in (0, 1].
    """

    neighbors: TokenNeighbors
    probability: float

    @classmethod
    def among_embeddings_of(
        cls,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        *,
        probability: float,
        num_neighbors: int,
    ) -> "NeighborReplacement":
        """With neighbors in the space of a model's input embeddings.

        Raises:
            UnsupportedModelError: if there is no such matrix.
        """
        weights = input_embeddings(model).detach().float().cpu().numpy()
        return cls(neighbors=TokenNeighbors(weights, tokenizer, num_neighbors=num_neighbors), probability=probability)

    def __call__(self, rows: Sequence[Features], *, generator: np.random.Generator) -> list[Features]:
        """See `TextPerturbation`."""
        return [
            replace_tokens(row, neighbors=self.neighbors, probability=self.probability, generator=generator)
            for row in rows
        ]


@final
class MaskedLMReplacement:
    """Each word of a row is masked with a probability, and replaced by what a masked language model proposes there.

    A proposal is of the same kind as the word (`TokenNeighbors`) and another token. It fits its context, which a
    neighbor need not do; it costs a forward pass of the language model per round of proposals.

    Args:
        model: a masked language model with the student's vocabulary; stays on its device.
        tokenizer: of student and model, with a mask token.
        probability: share of the words that one proposal replaces, in (0, 1].
        num_proposals: drawn from so many most probable tokens, >= 1.
        batch_size: rows per forward pass.

    Raises:
        InvalidConfigError: if the tokenizer has no mask token, or more tokens than the model.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        *,
        probability: float = 0.15,
        num_proposals: int = _NUM_PROPOSALS,
        batch_size: int = _BATCH_SIZE,
    ) -> None:
        if tokenizer.mask_token_id is None or model.config.vocab_size < len(tokenizer):
            raise InvalidConfigError(
                "masked-LM proposals need a tokenizer with a mask token and a model of its vocabulary",
                f"the mask token is {tokenizer.mask_token!r}; {len(tokenizer)} tokens, the model knows "
                f"{model.config.vocab_size}",
                "Use the masked language model that the student's tokenizer belongs to",
            )
        self._model, self._tokenizer, self._batch_size = model, tokenizer, batch_size
        self._probability, self._num_proposals = probability, num_proposals
        self._kinds = token_kinds(tokenizer, size=len(tokenizer))

    def __call__(self, rows: Sequence[Features], *, generator: np.random.Generator) -> list[Features]:
        """See `TextPerturbation`."""
        ids = [np.array(row["input_ids"]) for row in rows]
        chosen = [choose_positions(self._kinds[tokens] != "", self._probability, generator=generator) for tokens in ids]
        proposals = self._proposals(rows, ids, chosen)
        for tokens, positions, found in zip(ids, chosen, proposals, strict=True):
            tokens[positions] = [generator.choice(candidates) for candidates in found]
        return [{**row, "input_ids": tokens.tolist()} for row, tokens in zip(rows, ids, strict=True)]

    def _proposals(
        self, rows: Sequence[Features], ids: Sequence[NDArray[np.int64]], chosen: Sequence[NDArray[np.intp]]
    ) -> list[list[list[int]]]:
        """The candidates at each chosen position of each row."""
        masked = []
        for row, tokens, positions in zip(rows, ids, chosen, strict=True):
            hidden = tokens.copy()
            hidden[positions] = self._tokenizer.mask_token_id
            masked.append({**{name: values for name, values in row.items() if name != "labels"}, "input_ids": hidden})
        found = [list[list[int]]() for _ in rows]
        with evaluating(self._model):
            batches = length_sorted_batches(self._model, masked, tokenizer=self._tokenizer, batch_size=self._batch_size)
            for indices, batch in batches:
                logits = self._model(**batch).logits[..., : len(self._tokenizer)].float().cpu()
                for index, of_row in zip(indices, logits, strict=True):
                    own = of_row[-len(ids[index]) :] if self._tokenizer.padding_side == "left" else of_row
                    found[index] = [self._candidates(own[at], int(ids[index][at])) for at in chosen[index]]
        return found

    def _candidates(self, logits: torch.Tensor, token: int) -> list[int]:
        """The most probable tokens of the same kind; the token itself where there is no other."""
        alike = np.flatnonzero(self._kinds == self._kinds[token])
        alike = alike[alike != token]
        if not len(alike):
            return [token]
        best = logits[alike].topk(min(self._num_proposals, len(alike))).indices.numpy()
        return [int(index) for index in alike[best]]
