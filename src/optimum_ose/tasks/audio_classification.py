"""A class for a sound."""

from optimum_ose.tasks.parts.task import Task

TASK = Task(name="audio-classification", auto_class_name="AutoModelForAudioClassification", heads=())
"""Search spaces only, so far."""
