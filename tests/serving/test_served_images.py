"""Images as `OnnxPipeline` answers them: what transformers' pipeline answers, without torch and transformers."""

import base64
import io
import json
import shutil
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import (
    AutoModelForImageClassification,
    ConvNextConfig,
    DeiTConfig,
    PretrainedConfig,
    SwinConfig,
    ViTConfig,
    pipeline,
)
from transformers.image_processing_utils import BaseImageProcessor
from transformers.models.beit.image_processing_pil_beit import BeitImageProcessorPil as Beit
from transformers.models.bit.image_processing_pil_bit import BitImageProcessorPil as Bit
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil as CLIP
from transformers.models.convnext.image_processing_pil_convnext import ConvNextImageProcessorPil as ConvNext
from transformers.models.deit.image_processing_pil_deit import DeiTImageProcessorPil as DeiT
from transformers.models.mobilenet_v1.image_processing_pil_mobilenet_v1 import (
    MobileNetV1ImageProcessorPil as MobileNetV1,
)
from transformers.models.pvt.image_processing_pil_pvt import PvtImageProcessorPil as Pvt
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil as Siglip
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil as ViT

from optimum_ose import ExportConfig, OSEOptimizer
from optimum_ose.exceptions import InvalidConfigError, InvalidDataError, OutputFolderError, UnsupportedModelError
from optimum_ose.serving import OnnxPipeline
from optimum_ose.serving.image_processor import image_processor
from optimum_ose.serving.images import MAX_BYTES, rgb_image
from optimum_ose.serving.server import create_server
from serving.server_client import ask, predict, running

TASK = "image-classification"
CLOSE = 1e-4
SHAPES = [(40, 61), (61, 40), (7, 7), (100, 33)]
NAMES = {"id2label": dict(enumerate("abcdefg")), "label2id": {name: index for index, name in enumerate("abcdefg")}}
SMALL = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16, **NAMES}
MODELS: dict[str, tuple[PretrainedConfig, BaseImageProcessor]] = {
    "vit": (ViTConfig(**SMALL, image_size=32, patch_size=8, initializer_range=0.5), ViT(size=32)),
    "deit": (
        DeiTConfig(
            **SMALL, image_size=32, patch_size=8, initializer_range=0.5, architectures=["DeiTForImageClassification"]
        ),
        DeiT(size=40, crop_size=32),
    ),
    "swin": (
        SwinConfig(
            **NAMES, image_size=32, patch_size=4, window_size=4, embed_dim=8, depths=[1, 1], num_heads=[1, 2],
            initializer_range=0.5,
        ),
        ViT(size=32, resample=3),
    ),
    "convnext": (
        ConvNextConfig(
            **NAMES, image_size=32, hidden_sizes=[8, 16], depths=[1, 1], num_stages=2, initializer_range=0.5
        ),
        ConvNext(size=32),
    ),
}  # fmt: skip
PROCESSORS = [
    ViT(),
    ViT(do_resize=False),
    ViT(size={"shortest_edge": 20}),
    ViT(resample=3, do_normalize=False),
    ViT(do_rescale=False),
    ViT(do_normalize=False, do_rescale=False, do_center_crop=True, crop_size=15),
    ViT(image_mean=0.4, image_std=0.3, rescale_factor=1 / 127.5),
    DeiT(size=30, crop_size=17),
    DeiT(crop_size=301),
    ConvNext(size=20),
    ConvNext(size={"shortest_edge": 400}),
    ConvNext(size=20, crop_pct=0.9, do_center_crop=True, crop_size=11),
    Beit(),
    Beit(do_center_crop=True, crop_size=100),
    Bit(),
    Bit(size=31, crop_size={"height": 20, "width": 45}),
    CLIP(),
    MobileNetV1(size=31, crop_size=20),
    Pvt(),
    Siglip(size={"height": 31, "width": 30}),
]


def noise(height: int, width: int, channels: int = 3) -> np.ndarray[Any, Any]:
    """Blocks of 4 pixels, so that resizing leaves differences between images."""
    generator = np.random.default_rng(height * width + channels)
    blocks = generator.integers(0, 256, (height // 4 + 1, width // 4 + 1, channels), dtype=np.uint8)
    return np.kron(blocks, np.ones((4, 4, 1), dtype=np.uint8))[:height, :width]


def saved(image: Image.Image, form: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


@pytest.fixture(scope="module", params=MODELS)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An exported folder of each kind, to be read only."""
    return exported(request.param, tmp_path_factory.mktemp(request.param))


@pytest.fixture(scope="module")
def vit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return exported("vit", tmp_path_factory.mktemp("vit-alone"))


def exported(name: str, path: Path) -> Path:
    config, processor = MODELS[name]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = AutoModelForImageClassification.from_config(config).eval()
    optimizer = OSEOptimizer(model, processor, task=TASK)
    optimizer.export(optimizer.teacher, path / "out", ExportConfig(quantization="none"))
    return path / "out"


@pytest.mark.parametrize("processor", PROCESSORS, ids=lambda value: type(value).__name__)
def test_pixels_are_those_of_transformers(processor: BaseImageProcessor) -> None:
    ours = image_processor(json.loads(processor.to_json_string()))
    for shape in SHAPES:
        image = Image.fromarray(noise(*shape))
        expected = processor(image, return_tensors="np")["pixel_values"][0].astype(np.float32)
        assert np.array_equal(ours.pixels(image), expected)


@pytest.mark.parametrize("size", [20, {"height": 20, "width": None, "shortest_edge": None}, {"height": 20, "width": 9}])
@pytest.mark.parametrize("kind", ["ViTFeatureExtractor", "ViTImageProcessorFast"])
def test_files_of_older_versions_are_read(kind: str, size: Any) -> None:
    settings = {**json.loads(ViT().to_json_string()), "image_processor_type": kind, "size": size}
    if isinstance(size, dict) and size["width"] is None:
        with pytest.raises(InvalidConfigError, match="size in preprocessor_config.json must be whole numbers"):
            image_processor(settings)
        return
    expected = ViT(size=size)(Image.fromarray(noise(40, 61)), return_tensors="np")["pixel_values"][0]
    assert np.array_equal(image_processor(settings).pixels(Image.fromarray(noise(40, 61))), expected)


def test_answers_are_those_of_transformers(folder: Path) -> None:
    ours, theirs = OnnxPipeline.from_pretrained(folder), pipeline(TASK, model=str(folder), device="cpu")
    images = [Image.fromarray(noise(*shape)) for shape in SHAPES]
    found = ours(images)
    same(found, theirs(images))
    same([ours(images[0])], [theirs(images[0])])
    assert len({tuple(item["label"] for item in answer) for answer in found}) > 1  # not the same for all images
    assert [len(answer) for answer in ours(images, top_k=None, batch_size=3)] == [7] * 4
    same(ours(images, top_k=2), theirs(images, top_k=2))


def same(found: Any, expected: Any) -> None:
    for one, other in zip(found, expected, strict=True):
        assert [item["label"] for item in one] == [item["label"] for item in other]
        assert [item["score"] for item in one] == pytest.approx([item["score"] for item in other], abs=CLOSE)


def test_images_of_every_form_are_read_as_transformers_reads_them(vit: Path, tmp_path: Path) -> None:
    ours, theirs = OnnxPipeline.from_pretrained(vit), pipeline(TASK, model=str(vit), device="cpu")
    image = Image.fromarray(noise(40, 61))
    turned = Image.Exif()
    turned[0x0112] = 6
    palette = image.quantize(16)
    files = {
        "rgb.png": saved(image, "PNG"),
        "turned.jpg": saved(image, "JPEG", exif=turned),
        "alpha.png": saved(Image.fromarray(noise(40, 61, 4)), "PNG"),
        "gray.png": saved(image.convert("L"), "PNG"),
        "bits.tiff": saved(image.convert("1"), "TIFF"),
        "print.jpg": saved(image.convert("CMYK"), "JPEG"),
        "palette.gif": saved(palette, "GIF", save_all=True, append_images=[palette.rotate(180)]),
        "clear.png": saved(palette, "PNG", transparency=3),
        "loss.webp": saved(image, "WEBP"),
        "plain.bmp": saved(image, "BMP"),
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
        expected = theirs(Image.open(io.BytesIO(content)))
        for item in (str(tmp_path / name), tmp_path / name, content, Image.open(io.BytesIO(content))):
            same([ours(item)], [expected])
    for array in (noise(40, 61), noise(40, 61, 1), noise(40, 61, 1)[..., 0], noise(40, 61, 4)):
        shaped = Image.fromarray(array.squeeze())
        same([ours(array)], [theirs(shaped)])
    assert ours(saved(image, "JPEG", exif=turned)) != ours(saved(image, "JPEG"))


def test_bytes_of_transparent_palettes_cause_no_warning() -> None:
    image = Image.fromarray(noise(16, 16)).quantize(8)
    content = saved(image, "PNG", transparency=bytes(range(8)))
    assert np.array_equal(np.asarray(rgb_image(content)), np.asarray(image.convert("RGB")))


def bomb(width: int, height: int) -> bytes:
    """A small PNG that says it is large."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    return b"\x89PNG\r\n\x1a\n" + chunk + saved(Image.new("RGB", (4, 4)), "PNG")[33:]


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "nothing": (lambda: b"", "Image 1 must be a file of one of the formats BMP, GIF, .*it is of another, or damaged"),
    "text": (lambda: b"no image", "must be a file of one of the formats"),
    "other format": (lambda: saved(Image.new("RGB", (4, 4)), "PPM"), "must be a file of one of the formats"),
    "cut": (lambda: saved(Image.fromarray(noise(99, 99)), "PNG")[:900], "Image 1 must be an undamaged file"),
    "cut photo": (lambda: saved(Image.fromarray(noise(99, 99)), "JPEG")[:900], "must be an undamaged file"),
    "damaged": (
        lambda: saved(Image.new("RGB", (9, 9)), "PNG").replace(b"IDAT", b"IDAX"),
        "it is of another, or damaged",
    ),
    "large": (lambda: bomb(2**14, 2**12 + 1), "must have 1 to 67,108,864 pixels; it has 16384 x 4097"),
    "larger": (lambda: bomb(2**14, 2**13), "must have at most 67,108,864 pixels; it has more"),
    "bomb": (lambda: bomb(2**16, 2**16), "must have at most 67,108,864 pixels; it has more"),
    "many bytes": (lambda: bytes(MAX_BYTES + 1), "must have at most 67,108,864 bytes"),
    "no file": (lambda: "https://example.org/a.png", r"there is no file 'https://example\.org/a\.png'"),
    "no name": (lambda: "a\0.png", "there is no file"),
    "folder": (lambda: Path(__file__).parent, "there is no file"),
    "floats": (lambda: np.zeros((8, 8, 3)), r"uint8.* it is an array of float64 of shape \(8, 8, 3\)"),
    "channels first": (lambda: np.zeros((3, 8, 8), dtype=np.uint8), r"it is an array of uint8 of shape \(3, 8, 8\)"),
    "empty": (lambda: np.zeros((0, 8, 3), dtype=np.uint8), r"of shape \(0, 8, 3\)"),
    "number": (lambda: 3, "must be a path, .*got a value of type int"),
    "mapping": (lambda: {"text": "a"}, "got a value of type dict"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_image_is_refused_by_its_place(vit: Path, case: str) -> None:
    make, message = REFUSED[case]
    with pytest.raises(InvalidDataError, match=message):
        OnnxPipeline.from_pretrained(vit)([noise(8, 8), make()])


def test_an_image_that_grows_beyond_bounds_is_refused() -> None:
    processor = image_processor(json.loads(ViT(size={"shortest_edge": 224}).to_json_string()))
    with pytest.raises(InvalidDataError, match="at most 67,108,864 pixels when it is resized; it would have 2240000 x"):
        processor.pixels(Image.new("RGB", (10_000, 1)))


CHANGES: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "another": ({"image_processor_type": "FuyuImageProcessor"}, UnsupportedModelError, "names 'FuyuImageProcessor'"),
    "unnamed": ({"image_processor_type": None}, UnsupportedModelError, "knows the image processors of Beit, Bit"),
    "padding": ({"do_pad": True}, UnsupportedModelError, "it also has do_pad. Use transformers' pipeline instead"),
    "channels": ({"do_flip_channel_order": True}, UnsupportedModelError, "it also has do_flip_channel_order"),
    "last": ({"data_format": "channels_last"}, UnsupportedModelError, "it also has data_format"),
    "longest": ({"size": {"shortest_edge": 8, "longest_edge": 9}}, InvalidConfigError, "size in .* or shortest_edge"),
    "no size": ({"size": None}, InvalidConfigError, "size in preprocessor_config.json .*; it is missing"),
    "negative": ({"size": {"height": -1, "width": 8}}, InvalidConfigError, "size in preprocessor_config.json"),
    "step": ({"do_resize": None}, InvalidConfigError, "do_resize in .* must be true or false; it is missing"),
    "filter": ({"resample": 9}, InvalidConfigError, "resample in .* must be the number of a filter of Pillow, 0 to 5"),
    "factor": ({"rescale_factor": "1"}, InvalidConfigError, "rescale_factor in .* must be a positive number"),
    "mean": ({"image_mean": [0.5]}, InvalidConfigError, "image_mean in .* must be a number for each of three"),
    "deviation": ({"image_std": [0, 1, 1]}, InvalidConfigError, "image_std in .* must be a number for each of three"),
    "crop": ({"do_center_crop": True}, InvalidConfigError, "crop_size in .*; it is missing"),
    "other size": ({"size": {"height": 16, "width": 16}}, InvalidConfigError, "makes 16 x 16 of it. Export"),
}


@pytest.mark.parametrize("case", CHANGES)
def test_what_a_processor_does_is_known_or_refused(vit: Path, tmp_path: Path, case: str) -> None:
    change, kind, message = CHANGES[case]
    folder = copied(vit, tmp_path)
    path = folder / "preprocessor_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(kind, match=message):
        OnnxPipeline.from_pretrained(folder)


def copied(folder: Path, path: Path) -> Path:
    return Path(shutil.copytree(folder, path / "copy"))


def test_a_folder_that_does_not_fit_together_is_refused(vit: Path, tmp_path: Path) -> None:
    folder = copied(vit, tmp_path)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "id2label": {"0": "a", "1": "b"}}))
    with pytest.raises(InvalidConfigError, match="it gives 7 values, and id2label names 2 classes"):
        OnnxPipeline.from_pretrained(folder)
    (folder / "preprocessor_config.json").unlink()
    with pytest.raises(OutputFolderError, match=r"with the file preprocessor_config\.json"):
        OnnxPipeline.from_pretrained(folder)


def test_a_server_takes_images_as_they_are_or_in_base64_and_never_a_path(vit: Path, tmp_path: Path) -> None:
    own = OnnxPipeline.from_pretrained(vit)
    path = tmp_path / "digit.png"
    Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8) * 3).save(path)
    content = path.read_bytes()
    coded = base64.b64encode(content).decode()
    with running(create_server(vit, port=0, num_threads=1)) as port:
        assert ask(port, None, method="GET", path="/ready")[0] == 200
        assert ask(port, content) == (200, own(content))
        assert predict(port, coded) == (200, own(content))
        assert predict(port, [coded, coded], top_k=2) == (200, own([content, content], top_k=2))
        for wrong in (str(path), "no base64!", base64.b64encode(b"no image").decode(), 7, {"a": coded}):
            assert predict(port, wrong)[0] == 400
        assert ask(port, content[:40])[0] == 400
        assert predict(port, json.loads("[" * 900 + '"x"' + "]" * 900))[0] == 400
    with pytest.raises(UnsupportedModelError, match="A text needs a model of texts; that of .* takes images"):
        own.encodings([("a", None)])


@pytest.mark.parametrize(
    ("missing", "told"), [("torch transformers datasets", "[{"), ("PIL", "Tasks of images need the package pillow")]
)
def test_pillow_is_needed_and_torch_is_not(vit: Path, tmp_path: Path, missing: str, told: str) -> None:
    Image.fromarray(noise(40, 61)).save(tmp_path / "a.png")
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({missing.split()}))\n"
        "from optimum_ose.serving import OnnxPipeline\n"
        f"print(OnnxPipeline.from_pretrained({str(vit)!r})({str(tmp_path / 'a.png')!r}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert told in (done.stdout or done.stderr.splitlines()[-1])
