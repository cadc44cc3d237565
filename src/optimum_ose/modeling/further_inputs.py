"""Makes the rarer inputs of a model: patches cut beforehand, sounds as wide as the weights tell, other named ones.

They come after the usual ones of `model_inputs`. A scene holds inputs that belong together, by name, each made when it
is asked for; a model is given those that its forward pass names, and its text.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import final

import torch
from transformers import PreTrainedModel

from optimum_ose.modeling.example_tensors import Draw, find, image_size

_SIDE = 12
"""Patches along an image: 2, 3 and 4 of them can be merged, and 2 twice."""
_IMAGE_SIZES = (336, 448)
"""Sides of images that a model knows by its number of patches, or by its code."""
_GRIDS = {"grid_thw", "image_grid_thw", "spatial_shapes", "pixel_position_ids", "target_sizes"}
"""Names that tell how patches lie: their model cuts no image itself."""
_SPECTROGRAMS = {"input_features", "audio_mel"}
_HOPS = ("samples_per_token", "encoder_hop_length", "hop_length")
Scene = Mapping[str, Callable[[], torch.Tensor]]


def further_inputs(
    model: PreTrainedModel, *, required: Sequence[str], batch_size: int, num_tokens: int
) -> Iterator[dict[str, torch.Tensor]]:
    """Inputs worth trying where the usual ones fail, the likeliest first.

    Args:
        model: in any mode.
        required: names of the inputs that it does not run without.
        batch_size: number of rows.
        num_tokens: length of a text.
    """
    accepted = set(inspect.signature(model.forward).parameters)
    stage = _Stage(model, batch_size, num_tokens)
    for scene in stage.scenes(accepted):
        if scene and not scene.keys() & accepted:
            continue
        chosen = {name: make for name, make in {**stage.text(), **scene}.items() if name in accepted}
        chosen |= {name: make for name in required if name not in chosen and (make := stage.by_ending(name, scene))}
        if chosen and chosen.keys() >= set(required):
            yield {name: make() for name, make in chosen.items()}


@final
class _Stage:
    """The scenes of a model."""

    def __init__(self, model: PreTrainedModel, batch_size: int, num_tokens: int) -> None:
        self._config, self._draw = model.config, Draw(model)
        self._rows, self._length = batch_size, num_tokens
        self._weight = _first_weight(model)
        self._width = self._find("hidden_size", "d_model", default=64)
        self._channels = self._find("num_channels", "in_channels", "in_chans", default=3)
        self._patch = self._find("patch_size", default=14)
        frames_per_token = self._find("audio_length_per_tok", default=0)
        self._num_frames = num_tokens * frames_per_token or 4 * self._find("n_window", default=25)
        self._num_samples = self._num_frames * self._find(*_HOPS, default=320)

    def scenes(self, accepted: set[str]) -> Iterator[Scene]:
        """What is tried, in this order."""
        yield {}
        yield self._named()
        if accepted & _GRIDS:
            yield from self._patches()
        if "image_embeds_position_mask" in accepted:
            yield self._placed_image()
        if accepted & _SPECTROGRAMS:
            yield from self._sounds(has_text="input_ids" in accepted)
        yield from self._waves()
        yield from self._images()
        yield from self._states()

    def text(self) -> Scene:
        """What a model of text takes beside anything else."""
        return {"input_ids": self._tokens(), "decoder_input_ids": self._tokens()}

    def by_ending(self, name: str, scene: Scene) -> Callable[[], torch.Tensor] | None:
        """What the last words of a name tell about an input; None if nothing."""
        if name.endswith(("pixel_values", "_masks")):
            return scene.get("pixel_values", self._floats(self._channels, *image_size(self._config)))
        if name.endswith(("_ids", "_inputs")):
            return self._tokens()
        if name.endswith("_mask"):
            return self._same(1, self._length)
        return self._floats(self._length, self._width) if name.endswith(("_embeds", "_states")) else None

    def _named(self) -> Scene:
        """Inputs whose name says all."""
        length, series = self._length, 4 * self._find("patch_length", default=8)
        return {
            "states": self._floats(length, self._find("state_dim", default=1)),
            "actions": self._floats(length, self._find("act_dim", default=1)),
            "rewards": self._floats(length, 1),
            "returns_to_go": self._floats(length, 1),
            "timesteps": self._same(0, length),
            "visual_feats": self._floats(length, self._find("visual_feat_dim", default=1)),
            "visual_pos": self._floats(length, self._find("visual_pos_dim", default=4)),
            "past_values": self._floats(series),
            "past_values_padding": self._same(0, series),
            "freq": self._same(0, 1),
            "lang_ids": self._same(0),
            "bbox": lambda: self._same(0, length, 4)().float(),
            "task_inputs": self._tokens(self._find("task_seq_len", default=length)),
            "classes_structure": self._same(1),
            "encoder_hidden_states": self._floats(length, self._find("encoder_hidden_size", default=self._width)),
        }

    def _patches(self) -> Iterator[Scene]:
        """Patches of all images in a row, of each image in a row, and side by side as one flat image."""
        number, patch, channels = _SIDE**2, self._patch, self._channels
        merged = patch * self._find("spatial_merge_size", default=1)
        sizes = dict.fromkeys((self._weight.shape[1:].numel(), channels * patch**2))
        grid = self._table(1, _SIDE, _SIDE)
        for shape in (*((size,) for size in sizes), (channels, patch, patch), (merged, merged, channels)):
            pixels = self._all(self._rows * number, *shape)
            yield {"pixel_values": pixels, "grid_thw": grid, "image_grid_thw": grid, "merge_sizes": self._same(2)}
        for size in sizes:
            yield {
                "pixel_values": self._floats(number, size),
                "pixel_attention_mask": self._same(1, number),
                "spatial_shapes": self._table(_SIDE, _SIDE),
                "pixel_position_ids": self._positions(),
            }
        strip = self._all(1, channels, patch, patch * number * self._rows)
        yield {"pixel_values": strip, "target_sizes": self._table(_SIDE, _SIDE)}

    def _placed_image(self) -> Scene:
        """A text that begins with an image."""
        number = self._find("latent_query_num", default=1)
        return {
            "input_ids": self._tokens(number + self._length),
            "pixel_values": self._floats(self._channels, *image_size(self._config)),
            "image_embeds_position_mask": lambda: torch.cat(
                [self._same(1, number)(), self._same(0, self._length)()], 1
            ),
        }

    def _sounds(self, *, has_text: bool) -> Iterator[Scene]:
        """Spectrograms, and waves as long as they."""
        number = self._num_frames
        widths = (
            self._weight.shape[1 if self._weight.dim() > 1 else 0],
            self._find("num_mel_bins", "feature_size", "input_feat_size", default=80),
            128,
        )
        # Beside a text, the name `attention_mask` means the one of the text.
        names = ("input_features_mask",) if has_text else ("input_features_mask", "attention_mask")
        masks = {name: self._same(1, number) for name in names}
        masks["audio_mel_mask"] = lambda: self._same(0, number)().bool()
        for width in dict.fromkeys(widths):
            for shape in ((number, width), (width, number), (1, number, width)):
                sound = self._floats(*shape)
                yield {"input_features": sound, "audio_mel": sound, "input_values": self._wave(1), **masks}

    def _waves(self) -> Iterator[Scene]:
        yield {"input_values": self._wave(self._find("audio_channels", default=1))}
        yield {"input_values": self._wave()}
        vectors = self._floats(self._length, self._width)
        yield {"input_values": vectors, "decoder_input_values": vectors}

    def _images(self) -> Iterator[Scene]:
        """Images and videos of other sizes, and an image in a list of its own."""
        for size in (*_IMAGE_SIZES, 4 * self._patch):
            image = self._floats(self._channels, size, size)
            videos = self._floats(2, self._channels, size, size)
            for pixels in (image, videos):
                yield {"pixel_values": pixels, "pixel_values_videos": videos, "input_values": self._wave(1)}
        image = self._floats(1, self._channels, *image_size(self._config))
        yield {"pixel_values": image, "image_attention_mask": self._same(1, self._length, 1)}

    def _states(self) -> Iterator[Scene]:
        """What a decoder of sounds takes, and an encoder that goes on from it."""
        for width in dict.fromkeys((self._width, *self._weight.shape[:2])):
            length = self._length if width > 1 else self._num_samples
            for shape in ((width, length), (length, width)):
                yield {"latents": self._floats(*shape), "hidden_states": self._floats(*shape)}

    def _find(self, *names: str, default: int) -> int:
        return find(self._config, names, default)

    def _all(self, *shape: int) -> Callable[[], torch.Tensor]:
        return lambda: self._draw.floats(*shape)

    def _floats(self, *shape: int) -> Callable[[], torch.Tensor]:
        return self._all(self._rows, *shape)

    def _wave(self, *channels: int) -> Callable[[], torch.Tensor]:
        return self._floats(*channels, self._num_samples)

    def _tokens(self, length: int | None = None) -> Callable[[], torch.Tensor]:
        return lambda: self._draw.tokens(self._rows, length or self._length)

    def _same(self, value: int, *shape: int) -> Callable[[], torch.Tensor]:
        return lambda: self._draw.same(value, self._rows, *shape)

    def _table(self, *row: int) -> Callable[[], torch.Tensor]:
        return lambda: self._draw.rows([list(row)] * self._rows)

    def _positions(self) -> Callable[[], torch.Tensor]:
        cells = [[column, row] for row in range(_SIDE) for column in range(_SIDE)]
        return lambda: self._draw.rows(cells).expand(self._rows, -1, -1)


def _first_weight(model: PreTrainedModel) -> torch.Tensor:
    """The weight of the first map or norm: how it lies tells how wide the inputs are."""
    weights = (
        getattr(module, "weight", None) for module in model.modules() if not isinstance(module, torch.nn.Embedding)
    )
    return next((weight for weight in weights if isinstance(weight, torch.Tensor) and weight.dim()), torch.empty(1, 1))
