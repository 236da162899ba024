"""The command, in this process: what it prints, and how it ends."""

import json
import re
import subprocess
import sys

import pytest

from functional_ad.training import Config
from functional_ad.training._execution import Execution
from functional_ad.training._kinds import Switch
from functional_ad.training._options import get_options

pytest.importorskip("typer")

from functional_ad.training.__main__ import main
from functional_ad.training._cli import parse_command
from functional_ad.training._loop import Interval
from functional_ad.training._progress import format_pace

NAME = "functional-ad-train"


@pytest.fixture
def command(monkeypatch, capsys):
    """Runs the command with arguments; returns exit status, stdout and stderr."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", [NAME, *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code, *capsys.readouterr()

    return run


def test_default_run_prints_what_the_tutorial_prints(command):
    status, out, err = command()

    lines = out.splitlines()
    assert status == 0
    assert len(lines) == 52
    assert lines[0] == "epoch: 1, loss: 5.75"
    for number, line in enumerate(lines[:50], start=1):
        assert re.fullmatch(rf"epoch: {number}, loss: \d\.\d+", line)
    numbers = [float(number) for line in lines[-3:] for number in re.findall(r"-?\d\.\d+", line)]
    # float32 sums in another order; the gradients are small differences of larger numbers.
    assert numbers == [
        pytest.approx(1.0617053508758545, rel=1e-6),
        pytest.approx(0.07917773723602295, rel=1e-5),
        pytest.approx(-0.18569190800189972, rel=1e-5),
        pytest.approx(0.18316879868507385, rel=1e-6),
        pytest.approx(1.8134957551956177, rel=1e-6),
    ]
    assert re.fullmatch(r"a\.grad: \S+, b\.grad: \S+", lines[-2])
    assert re.fullmatch(r"a: \S+, b: \S+", lines[-1])
    assert re.fullmatch(
        rf"{NAME}: linear on tutorial, 50 epochs, sgd with learning rate 0.01, batches of 20, "
        r"seed 0, on \S.*\n",
        err,
    )


def test_digits_print_loss_and_test_accuracy(command):
    pytest.importorskip("sklearn")
    status, out, err = command(
        *("--model", "mlp", "--data", "digits", "--epochs", "2", "--microbatches", "4")
    )

    *epochs, last = out.splitlines()
    assert status == 0
    assert len(epochs) == 2
    shown = r"epoch: \d, loss: \d\.\d+, test accuracy: \d\d\.\d\d%"
    assert re.fullmatch(shown, epochs[0])  # most of it was compilation
    assert re.fullmatch(rf"{shown}, \d+ examples/s", epochs[1])
    assert re.fullmatch(r"final test accuracy: \d\d\.\d\d%", last)
    assert last.removeprefix("final") in epochs[-1]
    assert "batches of 32 in 4 microbatches" in err


def test_help_names_every_option_with_its_defaults(command):
    status, out, err = command("--help")

    assert (status, err) == (0, "")
    text = " ".join(out.split())
    options = [*get_options(Config).items(), *get_options(Execution).items()]
    for name, _ in options:
        assert f" --{name.replace('_', '-')} " in text
    switches = sum(isinstance(told.kind, Switch) for _, told in options)
    assert text.count("[default: ") == len(options) - switches + 1  # --config
    assert "[default: 50 for linear, 30 for mlp, 8 for cnn, 4 for transformer]" in text
    assert "130 or 143 interrupted" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--epochs abc", "--epochs: expected an integer, 1 or more, got 'abc'"),
        ("--epochs 0", "--epochs: expected an integer, 1 or more, got 0"),
        ("--epochs 1.5", "--epochs: expected an integer, 1 or more, got '1.5'"),
        (
            "--learning-rate nan",
            "--learning-rate: expected a number above 0 that float32 holds, got nan",
        ),
        (
            "--learning-rate -1",
            "--learning-rate: expected a number above 0 that float32 holds, got -1.0",
        ),
        (
            "--model rnn",
            "--model: expected 'linear' or 'mlp' or 'cnn' or 'transformer', got 'rnn'",
        ),
        (
            "--compute-dtype int8",
            "--compute-dtype: expected 'float32' or 'bfloat16' or 'float16', got 'int8'",
        ),
        (
            "--model mlp --data tutorial",
            "--data: expected 'digits' with the model 'mlp', got 'tutorial'",
        ),
        ("--hidden 8", "--hidden: expected nothing with the model 'linear', got 8"),
        (
            "--model mlp --batch-size 1438",
            "--batch-size: expected an integer from 1 to 1437 (the examples in digits), got 1438",
        ),
        (
            "--microbatches 21",
            "--microbatches: expected an integer from 1 to 20 (the batch size), got 21",
        ),
        ("--keep-grads yes", "--keep-grads: expected True or False, got 'yes'"),
        (
            "--profile /dev/null/folder",
            "--profile: expected a folder that can be written, got '/dev/null/folder' "
            "(Not a directory)",
        ),
        (
            "--tensorboard /dev/null/folder",
            "--tensorboard: expected a folder that can be written, got '/dev/null/folder' "
            "(Not a directory)",
        ),
        (
            "--optimizer-options dampening",
            "--optimizer-options: expected names with numbers, words or lists, got 'dampening'",
        ),
        ("--betas 1", "--betas: expected 2 numbers, got (1.0,)"),
        ("--betas 1,x", "--betas: expected 2 numbers, got '1,x'"),
        ("--seed -1", "--seed: expected an integer from 0 to 4294967295, got -1"),
        (
            "--mesh data=3,pipe=2",
            "--mesh: expected data=N or data=N,model=M, the numbers of devices along each, got "
            "'data=3,pipe=2'",
        ),
        ("--mesh data=16", "--mesh: expected a mesh of at most 8 devices, got 'data=16', of 16"),
        ("--fresh", "--fresh: expected nothing without --run-dir, got True"),
        ("--run-dir x --fresh --resume", "--resume: expected nothing with --fresh, got True"),
        ("--keep 0", "--keep: expected an integer, 1 or more, got 0"),
        (
            "--run-dir /dev/null/x",
            "--run-dir: expected a folder that can be written, got '/dev/null/x' (Not a directory)",
        ),
        (
            "--coordinator here",
            "--coordinator: expected HOST:PORT of process 0, or auto, got 'here'",
        ),
        (
            "--num-processes 2",
            "--num-processes: expected nothing without --coordinator HOST:PORT, got 2",
        ),
        (
            "--coordinator here:1 --process-id 0",
            "--num-processes: expected an integer, 1 or more, got None",
        ),
        (
            "--coordinator here:1 --num-processes 2 --process-id 2",
            "--process-id: expected an integer from 0 to 1, got 2",
        ),
        ("--bogus", "No such option: --bogus (see --help)"),
        ("--seed", "Option '--seed' requires an argument. (see --help)"),
        ("more", "Got unexpected extra argument(s) (more) (see --help)"),
        (
            "--metrics no/such/folder",
            "--metrics: expected a file that can be written, got 'no/such/folder' "
            "(No such file or directory)",
        ),
        (
            "--metrics .",
            "--metrics: expected a file that can be written, got '.' (Is a directory)",
        ),
    ],
)
def test_bad_arguments_are_one_line_and_status_2(command, arguments, message):
    # click says "argument", typer's copy of it "argument(s)".
    status, out, err = command(*arguments.split())

    assert (status, out) == (2, "")
    assert err.replace("argument (", "argument(s) (") == f"{NAME}: error: {message}\n"


def test_options_of_options_are_read_as_numbers_flags_words_and_lists():
    words = ["--optimizer-options", "dampening=0.5,maximize=true", "--schedule", "multi_step_lr"]
    more = ["--schedule-options", "milestones=[3;5],gamma=1e-3", "--freeze", "a,b/*"]

    config = parse_command([*words, *more]).config

    assert config.optimizer_options == {"dampening": 0.5, "maximize": True}
    assert config.schedule_options == {"milestones": (3, 5), "gamma": 1e-3}
    assert config.freeze == ("a", "b/*")


def test_a_trace_of_one_interval_is_written(command, tmp_path):
    status, *_ = command("--epochs", "3", "--profile", str(tmp_path / "trace"))

    (trace,) = (tmp_path / "trace").rglob("*.xplane.pb")
    assert status == 0
    assert trace.stat().st_size > 0
    assert len(list((tmp_path / "trace").rglob("*.trace.json.gz"))) == 1


def test_the_pace_is_told_from_the_second_interval_on():
    config, figures = (
        Config(epochs=400),
        {"number": 1, "step": 1, "loss": 1.0, "learning_rate": 1.0},
    )
    none = ("test_loss", "test_accuracy", "grad_norm", "loss_scale", "intermediates")
    figures |= dict.fromkeys(none)
    first, second, last = (
        Interval(**figures, epoch=epoch, examples=30, seconds=20.0) for epoch in (0.5, 1.0, 400.0)
    )

    assert format_pace(config, None, first) == "compiled"
    assert format_pace(config, first, second) == "2 examples/s, 4:26:00 left"
    assert format_pace(config, second, last) == "2 examples/s"


def test_a_run_that_diverges_is_one_line_and_status_1(command, tmp_path):
    path = tmp_path / "metrics.jsonl"
    status, out, err = command("--learning-rate", "100", "--metrics", str(path))

    assert status == 1
    assert out.splitlines()[-1] == "epoch: 7, loss: inf"
    first, *more = err.splitlines()[1:]
    assert first.startswith(
        f"{NAME}: error: training diverged in epoch 7: the loss was inf, and not all parameters "
        "are finite after it; try a learning rate below 100. It begins in update 7, where "
    )
    assert more[0] == "reduce_sum gives inf."
    assert "_gradients.py:" in more[1]
    last = json.loads(path.read_text().splitlines()[-1])
    assert (last["status"], last["epochs"], last["loss"]) == ("diverged", 7, None)
    assert (last["nonfinite"]["step"], last["nonfinite"]["op"]) == (7, "reduce_sum")


@pytest.mark.parametrize("package", ["typer", "sklearn"])
def test_a_missing_extra_is_one_line_that_says_what_to_install(monkeypatch, command, package):
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules, "functional_ad.training._cli", raising=False)
    monkeypatch.delitem(sys.modules, "functional_ad.training._run", raising=False)

    status, out, err = command("--model", "mlp")

    name = {"sklearn": "scikit-learn"}.get(package, package)
    assert (status, out) == (2, "")
    assert err == (
        f"{NAME}: error: {name} is not installed: pip install 'functional-ad[training]'\n"
    )


def test_without_a_device_it_is_one_line_and_status_1(monkeypatch, command):
    def no_device():
        raise RuntimeError("Unable to initialize\n backend 'none'")

    monkeypatch.setattr("jax.devices", no_device)

    assert command() == (
        1,
        "",
        f"{NAME}: error: JAX finds no device to train on: Unable to initialize backend 'none'\n",
    )


def test_importing_the_package_imports_none_of_the_extra():
    code = (
        "import sys, functional_ad.training\n"
        "extra = {'typer', 'rich', 'sklearn', 'flax', 'orbax', 'tensorboardX'}\n"
        "print(*(extra | {'torch', 'comparisons'}) & set(sys.modules))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=120
    )

    assert ended.stdout.strip() == ""
