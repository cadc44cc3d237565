"""The errors of optimum-ose: each says what must hold, what came, and what to do."""

from optimum_ose.wording import one_line


class OSEError(Exception):
    """Base of every error raised on purpose by optimum-ose.

    Args:
        expected: what must hold.
        actual: what came instead.
        remedy: what the user can do about it.
    """

    def __init__(self, expected: str, actual: str, remedy: str) -> None:
        super().__init__(expected, actual, remedy)
        self.expected = expected
        self.actual = actual
        self.remedy = remedy

    def __str__(self) -> str:
        """One line of bounded length, whatever data the parts quote."""
        return f"{one_line(self.expected)}; {one_line(self.actual).rstrip('.')}. {one_line(self.remedy)}"


class InvalidConfigError(OSEError, ValueError):
    """A setting, or a combination of settings, is outside its range."""


class InvalidDataError(OSEError, ValueError):
    """The data set cannot answer the question that was asked of it."""


class InvalidArchitectureError(OSEError, ValueError):
    """An architecture is malformed, beyond the maximum point, or violates a constraint of its model type."""


class InfeasibleError(OSEError, ValueError):
    """The constraints leave no candidate."""


class ScoreBoundError(OSEError, ValueError):
    """The finished student misses the share of the teacher's score that was asked for."""


class UnsupportedModelError(OSEError, NotImplementedError):
    """The model type, task or layout is not one that optimum-ose can handle."""


class JournalError(OSEError, ValueError):
    """A journal on disk answers another question, or is damaged in the middle."""


class OtherQuestionError(JournalError):
    """A journal on disk was created with a different model, other data or other settings."""


class OutputFolderError(OSEError, OSError):
    """The output folder cannot be written, or holds something that is not ours."""


class AddressError(OSEError, OSError):
    """The server cannot listen on the address."""


class UploadError(OSEError, ConnectionError):
    """The Hub refused an upload, or could not be reached."""


class ExportError(OSEError, RuntimeError):
    """An exported file does not compute what the model computes."""


class TrimmingError(OSEError, RuntimeError):
    """A model with a smaller vocabulary does not compute what the whole one computes."""


class LabelerError(OSEError, ValueError):
    """The labeler (Timaeus) is not accurate enough to label new points."""


class LatencyBoundError(OSEError, RuntimeError):
    """The finished student was measured to be slower than the user's bound."""


class ProcessError(OSEError, RuntimeError):
    """A process of a launch failed, or was asked for what only a single process does."""


class DivergedError(OSEError, ArithmeticError):
    """A training came to a loss or to weights that are no finite numbers."""


class MissingDependencyError(OSEError, ImportError):
    """A package of an optional extra is not installed."""


class UntouchedSplitWarning(UserWarning):
    """A figure will be optimistic, because every split that there is has steered what it measures."""


def is_panic(error: BaseException) -> bool:
    """Whether a library written in Rust (tokenizers, safetensors) gave up: its panic is no `Exception` in Python."""
    return type(error).__name__ == "PanicException"
