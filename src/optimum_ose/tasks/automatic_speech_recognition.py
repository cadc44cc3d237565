"""What is said in a sound, character by character."""

from optimum_ose.tasks.parts.speech import SPEECH
from optimum_ose.tasks.parts.task import Task
from optimum_ose.tasks.parts.transcription import transcription

TASK = Task(
    name="automatic-speech-recognition",
    auto_class_name="AutoModelForCTC",
    heads=("ForCTC",),
    inputs=SPEECH,
    problem_of=transcription,
    has_labels=True,
    outputs_are_tokens=True,
)
"""Of sounds."""
