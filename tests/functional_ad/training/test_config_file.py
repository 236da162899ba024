import dataclasses

import pytest

pytest.importorskip("typer")

from functional_ad.training import Config
from functional_ad.training._cli import parse_command
from functional_ad.training._config_file import format_config_file
from functional_ad.training._errors import CommandError

CONFIGS = [
    Config(),
    Config(
        momentum=0.9,
        optimizer_options={"dampening": 0.5, "maximize": True},
        schedule="multi_step_lr",
        schedule_options={"milestones": [3, 5], "gamma": 1e-5},
        freeze=["a", '*/"b"\\\té'],
        max_norm=1.5,
    ),
    Config.for_model("mlp", betas=[0.8, 0.99], optimizer="adam", evaluate_every=None),
    Config.for_model("cnn", compute_dtype="float16", loss_scale=8),
    Config.for_model("transformer", log_every=None, mesh="data=2,model=4"),
]


@pytest.fixture
def write(tmp_path):
    """Writes a file, and parses a command that reads it."""

    def parse(text, *arguments):
        path = tmp_path / "config.toml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return parse_command(["--config", str(path), *arguments])

    return parse


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.model)
def test_a_configuration_comes_back_from_its_file(config, write, capsys):
    text = format_config_file(config)

    assert write(text).config == config
    assert write(text, "--print-config") is None
    assert capsys.readouterr().out == text


def test_the_command_line_comes_before_the_file(write):
    text = "model = 'mlp'\nepochs = 3\nseed = 5\ncheckpoint_every = 7\nlog_every = 'none'\n"

    command = write(text, "--epochs", "4")

    assert command.config == Config.for_model("mlp", epochs=4, seed=5)
    assert command.execution.checkpoint_every == 7
    assert write(text, "--model", "cnn").config == Config.for_model("cnn", epochs=3, seed=5)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epocs = 3", "--config: expected an option, such as 'epochs', got 'epocs' in "),
        ("[optimizer]\nname = 'sgd'", "--optimizer: expected 'sgd' or 'adam'"),
        ("epochs = '3'", "--epochs: expected an integer, 1 or more, got '3'"),
        ("epochs = ", "--config: expected TOML, got "),
        (b"seed = '\xff'", "--config: expected TOML, got "),
    ],
)
def test_what_a_file_gets_wrong_is_named(write, text, message):
    with pytest.raises(CommandError) as caught:
        write(text)

    assert str(caught.value).startswith(message)
    assert caught.value.status == 2


def test_a_file_that_is_not_there_is_said_so():
    text = (
        r"^--config: expected a file that can be read, got 'no/such\.toml' "
        r"\(No such file or directory\)$"
    )
    with pytest.raises(CommandError, match=text):
        parse_command(["--config", "no/such.toml"])


def test_print_config_shows_what_the_command_line_says(capsys):
    assert parse_command(["--model", "mlp", "--epochs", "2", "--print-config"]) is None

    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == 'model = "mlp"'
    assert "epochs = 2" in lines
    shown = {line.partition(" = ")[0] for line in lines}
    assert shown <= {field.name for field in dataclasses.fields(Config)}
