"""OSEOptimizer: a teacher, its tokenizer or image processor, and a task, with verbs for each stage and for all."""

import os
from typing import final

from datasets import Dataset

from optimum_ose.artifact import OSEArtifact
from optimum_ose.configuration import OSEConfig
from optimum_ose.data.given import plain_dataset
from optimum_ose.guards import require_config, require_path
from optimum_ose.optimizer.guards import checked_splits
from optimum_ose.optimizer.verbs import Verbs
from optimum_ose.output_folder import working_in
from optimum_ose.pipeline.run import Rows, open_run
from optimum_ose.pipeline.runner import run_stages
from optimum_ose.processes import require_single_process


@final
class OSEOptimizer(Verbs):
    """Finds, trains and exports the small student of one teacher. Arguments: those of `TeacherRows`."""

    def optimize(
        self,
        folder: str | os.PathLike[str],
        config: OSEConfig | None = None,
        *,
        train_dataset: Dataset,
        eval_dataset: Dataset,
        test_dataset: Dataset,
        unlabeled_dataset: Dataset | None = None,
    ) -> OSEArtifact:
        """All stages, one after the other; called again with the same arguments it resumes."""
        require_config(config, OSEConfig)
        path = require_path(folder, "folder")
        require_single_process("optimize")
        test_dataset = plain_dataset(test_dataset, "test_dataset")
        train, validation, test = checked_splits(train_dataset, eval_dataset, test_dataset)
        _ = self.rows(validation), self.rows(test)  # refused now, not after the search
        rows = Rows(train=train, validation=validation, test=test, unlabeled=self.checked_unlabeled(unlabeled_dataset))
        with working_in(path):
            return run_stages(open_run(self, path, rows, config or OSEConfig()))
