"""What a model answers does not depend on how it was left, and asking leaves it as it was."""

from transformers import BertConfig

from modeling.tiny_teachers import teacher_of
from optimum_ose.modeling.prediction import evaluating


def test_evaluating_gives_each_module_its_flag_back() -> None:
    model = teacher_of(BertConfig).train()
    model.classifier.eval()
    with evaluating(model):
        assert not any(module.training for module in model.modules())
    assert model.training
    assert not model.classifier.training
