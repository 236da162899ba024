import dataclasses
import re

import pytest

from functional_ad import FunctionalADError
from functional_ad.training import Config, ConfigError, TrainingError


def test_defaults_are_the_tutorials_worked_case():
    assert dataclasses.asdict(Config()) == {
        "model": "linear",
        "data": "tutorial",
        "epochs": 50,
        "learning_rate": 0.01,
        "optimizer": "sgd",
        "batch_size": 20,
        "microbatches": 1,
        "hidden": None,
        "log_every": None,
        "keep_grads": True,
        "seed": 0,
    }


def test_for_model_takes_that_models_defaults_and_lets_fields_be_changed():
    config = Config.for_model("mlp", epochs=3)

    assert (config.data, config.epochs, config.optimizer, config.hidden) == (
        "digits",
        3,
        "adamw",
        256,
    )
    assert Config.for_model("linear") == Config()


def test_config_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Config().epochs = 3


MLP = {"model": "mlp", "data": "digits", "hidden": 16}


@pytest.mark.parametrize(
    ("fields", "field", "expected", "got"),
    [
        ({"model": "cnn"}, "model", "'linear' or 'mlp'", "'cnn'"),
        ({"data": "mnist"}, "data", "'tutorial' or 'digits'", "'mnist'"),
        ({"optimizer": "lion"}, "optimizer", "'sgd' or 'adam' or 'adamw'", "'lion'"),
        ({"data": "digits"}, "data", "'tutorial' with the model 'linear'", "'digits'"),
        ({**MLP, "data": "tutorial"}, "data", "'digits' with the model 'mlp'", "'tutorial'"),
        ({"hidden": 8}, "hidden", "nothing with the model 'linear'", "8"),
        ({**MLP, "hidden": None}, "hidden", "an integer from 1 to 8192", "None"),
        ({**MLP, "hidden": 8193}, "hidden", "an integer from 1 to 8192", "8193"),
        ({"epochs": 0}, "epochs", "an integer, 1 or more", "0"),
        ({"epochs": 2.0}, "epochs", "an integer, 1 or more", "2.0"),
        ({"epochs": True}, "epochs", "an integer, 1 or more", "True"),
        (
            {"batch_size": 21},
            "batch_size",
            "an integer from 1 to 20 (the examples in tutorial)",
            "21",
        ),
        ({"microbatches": 21}, "microbatches", "an integer from 1 to 20 (the batch size)", "21"),
        ({"log_every": 0}, "log_every", "an integer, 1 or more", "0"),
        ({"keep_grads": "yes"}, "keep_grads", "True or False", "'yes'"),
        ({"seed": -1}, "seed", "an integer from 0 to 4294967295", "-1"),
        ({"seed": 2**32}, "seed", "an integer from 0 to 4294967295", "4294967296"),
        ({"learning_rate": 0}, "learning_rate", "a number above 0 that float32 holds", "0"),
        (
            {"learning_rate": float("nan")},
            "learning_rate",
            "a number above 0 that float32 holds",
            "nan",
        ),
        (
            {"learning_rate": float("inf")},
            "learning_rate",
            "a number above 0 that float32 holds",
            "inf",
        ),
        ({"learning_rate": 1e-50}, "learning_rate", "a number above 0 that float32 holds", "1e-50"),
        (
            {"learning_rate": "fast"},
            "learning_rate",
            "a number above 0 that float32 holds",
            "'fast'",
        ),
    ],
)
def test_what_cannot_be_run_is_named_with_what_was_expected(fields, field, expected, got):
    text = (
        f"`functional_ad.training.Config({field}=...)` cannot be run.\n"
        f"  expected: {expected}\n"
        f"  got:      {got}\n"
        "Leave it out for the default, or take `Config.for_model` for the model's own."
    )
    with pytest.raises(ConfigError, match=f"^{re.escape(text)}$") as caught:
        Config(**fields)

    assert (caught.value.field, caught.value.expected, caught.value.got) == (field, expected, got)
    assert isinstance(caught.value, TrainingError)
    assert isinstance(caught.value, FunctionalADError)
    assert isinstance(caught.value, ValueError)
