"""Output folders: whose files they hold, which process works there, and how a failed write is reported."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from optimum_ose.exceptions import OSEError, OutputFolderError
from optimum_ose.guards import require_folder
from optimum_ose.processes import is_first
from optimum_ose.serialization import write_atomic
from optimum_ose.wording import listed, one_line

RUN_FILE = "ose/run.json"
"""What a run remembers of itself."""
EXPORT_MARK = "ose/exported"
"""Marks a folder that `OSEOptimizer.export` wrote without a run."""
_LOCK = "ose/.lock"
_SYSTEM_FILES = frozenset({".DS_Store", ".gitkeep", ".git", ".gitattributes", ".gitignore", "Thumbs.db", "desktop.ini"})
"""What file managers and git leave in a folder: nobody's work."""
_LEFT_OVER = (".saving", ".*.tmp", ".*.partial", ".ose-write-test-*")
"""Names of files that a killed process of ours leaves behind."""
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_REFUSED = frozenset({errno.EROFS, errno.EIO, errno.EACCES, errno.EPERM})
_WRITE_WORDS = ("inline_container", "PytorchStreamWriter", "No space left", "File too large", "Disk quota", "I/O error")
"""What torch, safetensors and tokenizers say of a failed write; they raise no OSError."""


def make_writable(path: Path) -> None:
    """Make the folder if needed, and prove that files can be written there.

    Raises:
        OutputFolderError: if they cannot.
    """
    with writing(path, always=True):
        path.mkdir(parents=True, exist_ok=True)
        probe = path / f".ose-write-test-{os.getpid()}"
        try:
            probe.touch()
        finally:
            probe.unlink(missing_ok=True)


def strange_files(path: Path) -> list[str]:
    """Names in a folder that are neither ours nor left there by file managers, git or a killed process of ours."""
    if not path.is_dir():
        return []
    strange = {item.name for item in path.iterdir()} - _SYSTEM_FILES - {"ose"}
    left_over = {item.name for pattern in _LEFT_OVER for item in path.glob(pattern)}
    return sorted(strange - left_over)


def claim_for_run(path: Path) -> None:
    """Make the folder if needed; pass if it holds a run, or nothing that a new run could overwrite.

    Raises:
        OutputFolderError: if it cannot be written, or holds files that are not ours, or those of a run whose `run.json`
            is lost.
    """
    if path.exists() and not path.is_dir():
        raise OutputFolderError(f"The output folder {path} must be a folder", "it is a file", "Choose another one")
    strange = [] if (path / RUN_FILE).exists() else strange_files(path)
    if not strange:
        make_writable(path)
        return
    if (path / EXPORT_MARK).is_file():
        raise OutputFolderError(
            f"The output folder {path} must be empty or hold a run",
            "it holds a model that `export` wrote without a run",
            "Choose another folder (--output)",
        )
    if (path / "ose").is_dir() and _is_evidently_ours(path / "ose"):
        search = f", with --search-from {path} to keep its search" if (path / "ose" / "journal.jsonl").is_file() else ""
        raise OutputFolderError(
            f"The output folder {path} must hold {RUN_FILE}, which says what the other files are",
            f"it is missing, beside {listed(strange, limit=4)}",
            f"Restore it from a copy, or choose another folder{search}",
        )
    raise OutputFolderError(
        f"The output folder {path} must be empty or written by optimum-ose",
        f"it holds {listed(strange, limit=5)}",
        "Choose another folder (--output)",
    )


def require_run(path: Path) -> None:
    """Pass if the folder holds a run.

    Raises:
        OutputFolderError: if it does not.
    """
    require_folder(path)
    if not (path / RUN_FILE).is_file():
        raise OutputFolderError(
            f"{path} must be a folder written by optimum-ose",
            f"it has no {RUN_FILE}",
            "Give the folder (--output) of an earlier `run` or `extract`",
        )


def claim_for_export(path: Path, *, teacher: str | None = None) -> None:
    """Pass if a model may be written into the folder: it is empty or ours; then mark it as ours.

    Args:
        path: made if it is missing.
        teacher: where the teacher was loaded from; never written into.

    Raises:
        OutputFolderError: if it holds files of somebody else or the teacher, or cannot be written.
    """
    require_exportable_into(path, teacher=teacher)
    is_ours = _is_ours(path)
    make_writable(path)
    if is_ours:
        _remove_left_over(path)
    else:
        with writing(path, always=True):
            write_atomic(path / EXPORT_MARK, "written by optimum-ose\n")


def require_exportable_into(path: Path, *, teacher: str | None = None) -> None:
    """Pass if `claim_for_export` would, as far as that shows without writing.

    Raises:
        OutputFolderError: if the folder holds files of somebody else or the teacher.
    """
    if path.exists() and not path.is_dir():
        raise OutputFolderError(f"{path} must be a folder", "it is a file", "Choose another folder")
    is_teacher = teacher is not None and path.is_dir() and Path(teacher).is_dir() and path.samefile(teacher)
    strange = strange_files(path)
    if is_teacher or (strange and not _is_ours(path)):
        raise OutputFolderError(
            f"The folder {path} must be empty or written by optimum-ose",
            "it is the teacher's own" if is_teacher else f"it holds {listed(strange, limit=5)}",
            "Choose another folder",
        )


def _is_ours(path: Path) -> bool:
    return (path / RUN_FILE).is_file() or (path / EXPORT_MARK).is_file()


def _remove_left_over(path: Path) -> None:
    """Remove what killed processes of ours left in a folder of ours."""
    for place in (path, path / "ose", path / "onnx"):
        for pattern in _LEFT_OVER:
            for item in place.glob(pattern):
                shutil.rmtree(item) if item.is_dir() else item.unlink(missing_ok=True)


def tidy(path: Path) -> None:
    """Remove what killed processes left behind in a folder of ours; the caller holds its lock."""
    for place in (path, path / "ose", path / "onnx", path / "checkpoints", path / "checkpoints" / "teacher-onnx"):
        for pattern in _LEFT_OVER:
            for item in place.glob(pattern):
                if item.is_dir():
                    shutil.rmtree(item, ignore_errors=True)
                else:
                    item.unlink(missing_ok=True)


@contextmanager
def working_in(path: Path) -> Iterator[None]:
    """Be the only process that works in a folder of ours, or in a new one, during the block.

    Raises:
        OutputFolderError: if another process works there, or the folder is not ours or cannot be written.
    """
    claim_for_run(path)
    with only_process(path):
        tidy(path)
        yield


@contextmanager
def working_again_in(path: Path) -> Iterator[None]:
    """The same in the folder of an earlier run.

    Raises:
        OutputFolderError: if another process works there, or the folder holds no run.
    """
    require_run(path)
    with working_in(path):
        yield


@contextmanager
def only_process(path: Path) -> Iterator[None]:
    """Hold the folder's lock during the block; the operating system releases it if the process dies.

    Several blocks of one thread may hold it. Of a launch of several processes, only the first one asks for it.

    Raises:
        OutputFolderError: if another process holds it, or the folder cannot be written.
    """
    if not is_first():
        yield
        return
    with writing(path, always=True):
        (path / "ose").mkdir(parents=True, exist_ok=True)
        lock = FileLock(path / _LOCK, timeout=0, is_singleton=True)
        try:
            lock.acquire()
        except Timeout as error:
            raise OutputFolderError(
                f"Only one process at a time may work in {path}",
                "another one is working there now",
                "Wait until it has finished, stop it, or use another folder",
            ) from error
    try:
        yield
    finally:
        lock.release()


@contextmanager
def writing(path: Path, *, always: bool = False) -> Iterator[None]:
    """Report failed writes of the block as errors that name the folder or file.

    Args:
        path: what is being written.
        always: whether every OSError of the block comes from a write; else those of a full or read-only disk.

    Raises:
        OutputFolderError: if a write failed; other errors pass unchanged.
    """
    try:
        yield
    except OSEError:
        raise
    except Exception as error:
        reason = _write_failure(error, path, always=always)
        if reason is None:
            raise
        raise OutputFolderError(
            f"{path} must be writable",
            f"writing it failed: {reason}",
            "Free disk space, or choose a folder that you may write to; the same command then continues",
        ) from error


def _write_failure(error: BaseException | None, path: Path, *, always: bool) -> str | None:
    """What the system said of a failed write; None if the error is none."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if isinstance(error, OSError) and (always or error.errno in _FULL or _is_refused_within(error, path)):
            return error.strerror or one_line(error, limit=200)
        if any(word in str(error) for word in _WRITE_WORDS):
            return one_line(error, limit=200)
        error = error.__cause__ or error.__context__
    return None


def _is_refused_within(error: OSError, path: Path) -> bool:
    return error.errno in _REFUSED and str(error.filename or "").startswith(str(path))


def _is_evidently_ours(folder: Path) -> bool:
    names = ("search.json", "journal.jsonl", "benchmark.json", "environment.json", "run.json")
    return any((folder / name).is_file() for name in names)
