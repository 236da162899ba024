import dataclasses
import re

import pytest

from functional_ad import FunctionalADError
from functional_ad.training import Config, ConfigError, TrainingError


def test_defaults_are_the_tutorials_worked_case():
    fields = dataclasses.asdict(Config())

    networks_only = ("layers", "width", "hidden", "heads", "channels", "context", "dropout")
    assert {fields.pop(name) for name in networks_only} == {None}
    wanted = {
        "model": "linear",
        "data": "tutorial",
        "epochs": 50,
        "batch_size": 20,
        "microbatches": 1,
        "seed": 0,
        "optimizer": "sgd",
        "learning_rate": 0.01,
        "log_every": None,
        "keep_grads": True,
    }
    assert {name: fields[name] for name in wanted} == wanted


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


MLP = {
    **{"model": "mlp", "data": "digits", "hidden": 16, "layers": 1, "dropout": 0.0},
    "log_intermediates": False,
}


@pytest.mark.parametrize(
    ("fields", "field", "expected", "got"),
    [
        ({"model": "rnn"}, "model", "'linear' or 'mlp' or 'cnn' or 'transformer'", "'rnn'"),
        ({"data": "mnist"}, "data", "'tutorial' or 'digits' or 'text'", "'mnist'"),
        (
            {"remat": "some"},
            "remat",
            "'none' or 'full' or 'dots' or 'dots_with_no_batch_dims'",
            "'some'",
        ),
        ({"data": "digits"}, "data", "'tutorial' with the model 'linear'", "'digits'"),
        ({**MLP, "data": "tutorial"}, "data", "'digits' with the model 'mlp'", "'tutorial'"),
        ({"hidden": 8}, "hidden", "nothing with the model 'linear'", "8"),
        ({**MLP, "hidden": None}, "hidden", "an integer from 1 to 8192", "None"),
        ({**MLP, "hidden": 8193}, "hidden", "an integer from 1 to 8192", "8193"),
        ({**MLP, "width": 8}, "width", "nothing with the model 'mlp'", "8"),
        (
            {**MLP, "dropout": 1},
            "dropout",
            "a number of at least 0 and below 1 that float32 holds",
            "1",
        ),
        (
            {"compute_dtype": "bfloat16"},
            "compute_dtype",
            "'float32' with the model 'linear'",
            "'bfloat16'",
        ),
        ({"freeze": "a"}, "freeze", "a list of words, none of them empty", "'a'"),
        ({"freeze": [""]}, "freeze", "a list of words, none of them empty", "['']"),
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


@pytest.mark.parametrize(
    ("model", "fields", "field", "expected", "got"),
    [
        ("mlp", {"epocs": 3}, "epocs", "a field of `Config`, such as 'epochs'", "'epocs'"),
        ("transformer", {"width": 30}, "width", "a multiple of the heads, 4", "30"),
        ("rnn", {}, "model", "'linear' or 'mlp' or 'cnn' or 'transformer'", "'rnn'"),
    ],
)
def test_what_for_model_cannot_make_is_named(model, fields, field, expected, got):
    with pytest.raises(ConfigError) as caught:
        Config.for_model(model, **fields)

    assert (caught.value.field, caught.value.expected, caught.value.got) == (field, expected, got)


@pytest.mark.parametrize("model", ["linear", "mlp", "cnn", "transformer"])
def test_every_model_has_defaults_that_can_be_run(model):
    config = Config.for_model(model)

    assert config.model == model
    assert isinstance(hash(config), int)


def test_lists_are_kept_as_tuples_and_integers_as_floats():
    config = Config(freeze=["a"], learning_rate=1)

    assert config.freeze == ("a",)
    assert isinstance(config.learning_rate, float)


def test_the_docstring_lists_every_field():
    for field in dataclasses.fields(Config):
        assert f"        {field.name}: " in Config.__doc__
