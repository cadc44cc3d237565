"""The same app in Ray Serve: `serve run deploy.ray_serve:application`, the folder in OSE_MODEL."""

import os
from pathlib import Path

from ray import serve

from optimum_ose.serving import OnnxPipeline
from optimum_ose.serving.app import PredictionApp


def build() -> PredictionApp:
    """The app of one replica, built where it runs: a session of ONNX Runtime cannot be sent."""
    folder = Path(os.environ["OSE_MODEL"])
    return PredictionApp(OnnxPipeline.from_pretrained(folder, num_threads=1), name=folder.name)


application = serve.deployment(serve.ingress(build)(), num_replicas=2, ray_actor_options={"num_cpus": 1}).bind()
