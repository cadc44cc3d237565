"""The smallest, fastest network that still does the job, and how close to the best it is."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from optimum_ose.artifact import OSEArtifact as OSEArtifact
    from optimum_ose.configuration import AgoraConfig as AgoraConfig
    from optimum_ose.configuration import DistillationConfig as DistillationConfig
    from optimum_ose.configuration import ExportConfig as ExportConfig
    from optimum_ose.configuration import OSEConfig as OSEConfig
    from optimum_ose.configuration import SearchConfig as SearchConfig
    from optimum_ose.conversion.exporting import export_onnx as export_onnx
    from optimum_ose.core.agora import run_agora as run_agora
    from optimum_ose.core.architecture import Architecture as Architecture
    from optimum_ose.core.fptas import extract as extract
    from optimum_ose.core.objectives import Objectives as Objectives
    from optimum_ose.core.objectives import w_coefficient as w_coefficient
    from optimum_ose.core.search_space import SearchSpace as SearchSpace
    from optimum_ose.exceptions import OSEError as OSEError
    from optimum_ose.finetuning.callback import AgoraCallback as AgoraCallback
    from optimum_ose.finetuning.collator import AgoraDataCollator as AgoraDataCollator
    from optimum_ose.hub.upload import push_to_hub as push_to_hub
    from optimum_ose.modeling.reconfiguration import reconfigure as reconfigure
    from optimum_ose.modeling.search_space import derive_search_space as derive_search_space
    from optimum_ose.pipeline.optimizer import OSEOptimizer as OSEOptimizer
    from optimum_ose.vocabulary.trimming import trim_vocabulary as trim_vocabulary

__version__ = "0.1.0"

_HOME_OF = {
    "AgoraCallback": "finetuning.callback",
    "AgoraConfig": "configuration",
    "AgoraDataCollator": "finetuning.collator",
    "Architecture": "core.architecture",
    "DistillationConfig": "configuration",
    "ExportConfig": "configuration",
    "OSEArtifact": "artifact",
    "OSEConfig": "configuration",
    "OSEError": "exceptions",
    "OSEOptimizer": "pipeline.optimizer",
    "Objectives": "core.objectives",
    "SearchConfig": "configuration",
    "SearchSpace": "core.search_space",
    "derive_search_space": "modeling.search_space",
    "export_onnx": "conversion.exporting",
    "extract": "core.fptas",
    "push_to_hub": "hub.upload",
    "reconfigure": "modeling.reconfiguration",
    "run_agora": "core.agora",
    "trim_vocabulary": "vocabulary.trimming",
    "w_coefficient": "core.objectives",
}

__all__ = sorted(_HOME_OF)


def __getattr__(name: str) -> object:
    """Import a public name on first use (PEP 562), so that `import optimum_ose` stays light."""
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import_module(f"{__name__}.processes").tell_refusals_once()
    return getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME_OF])
