"""Models that take waveforms. Their heads are called as those of texts are; their names tell them apart."""

WAVEFORM_MODELS = (
    "Data2VecAudio",
    "Hubert",
    "SEW",
    "SEWD",
    "UniSpeech",
    "UniSpeechSat",
    "Wav2Vec2",
    "Wav2Vec2Conformer",
    "WavLM",
)
"""Beginnings of the names of their classes in Transformers."""
