"""The ONNX files of a model folder: those of one graph, or of an encoder and a decoder that answer together."""

from pathlib import Path, PurePosixPath

MODEL, ENCODER, DECODER = "model", "encoder_model", "decoder_model_merged"
"""How graphs are called. The decoder's takes the first tokens without a past, and later ones with it; both names are
those that optimum-onnx and transformers.js look for."""
FULL, INT8, HALF = "", "_quantized", "_fp16"
WEIGHTS_INT8, WEIGHTS_INT4 = "_int8", "_q4"
"""Endings of these names, by format; the last two of files in which only the weights are quantized."""
ENDINGS = (FULL, INT8, HALF, WEIGHTS_INT8, WEIGHTS_INT4)
"""All of them."""
DATA = "_data"
"""Ending of the whole name of a file beside a graph that holds its weights."""


def onnx_file(graph: str, ending: str = FULL) -> str:
    """The file of a graph, relative to the model folder."""
    return f"onnx/{graph}{ending}.onnx"


def main_file(folder: Path, ending: str = FULL) -> str:
    """The file by which a format is named, relative to the folder: the decoder's where the folder has an encoder."""
    return onnx_file(DECODER if (folder / onnx_file(ENCODER)).is_file() else MODEL, ending)


def encoder_of(file: str) -> str | None:
    """The encoder's file that belongs to a decoder's; None: the file is a whole model."""
    path = PurePosixPath(file)
    if not path.name.startswith(DECODER):
        return None
    return str(path.with_name(path.name.replace(DECODER, ENCODER, 1)))


def files_beside(path: Path) -> tuple[Path, ...]:
    """All files that a format consists of, that by which it is named among them."""
    encoder = encoder_of(path.name)
    return (path,) if encoder is None else (path.with_name(encoder), path)


def data_file(path: Path) -> Path:
    """The file beside a graph of 2 GiB or more that holds its weights; smaller graphs hold them themselves."""
    return path.with_name(f"{path.name}{DATA}")


def stored_files(path: Path) -> tuple[Path, ...]:
    """All files of a format that are there: `files_beside`, and where a graph has one its `data_file`."""
    graphs = files_beside(path)
    return tuple(file for graph in graphs for file in (graph, data_file(graph)) if file.is_file())
