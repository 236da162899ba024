"""The pytest plugin: the fixture ``parity``, its marker, and a report of the whole session.

It is loaded in every run of pytest where this project is installed, so that nothing but pytest and
the standard library is imported here; the rest is imported by the first comparison.
"""

from __future__ import annotations

import hashlib
import json
import shlex
import tempfile
from collections import Counter
from collections.abc import Callable, Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from comparisons._ledger import Ledger
    from comparisons._results import CaseResult
    from comparisons.report import Report

SUFFIXES = (".html", ".json", ".md", ".txt")
_MARKED = ("dtype", "orders", "strict")

# Results of a test that its report has not taken with it yet, and what a session needs to know.
_FOUND = pytest.StashKey[list["CaseResult"]]()
_LEDGER = pytest.StashKey["Ledger | None"]()
_ENVIRONMENT = pytest.StashKey[dict[str, Any]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds ``--parity-report``, ``--parity-strict`` and ``--parity-ledger``."""
    group = parser.getgroup("parity", "comparisons of JAX with PyTorch")
    group.addoption(
        "--parity-report",
        action="append",
        default=[],
        metavar="FILE",
        help=f"write a report of all comparisons; the suffix names the format "
        f"({', '.join(SUFFIXES)}); may be given several times",
    )
    group.addoption(
        "--parity-strict", action="store_true", help="a warning that is not accepted is a failure"
    )
    group.addoption(
        "--parity-ledger",
        metavar="FILE",
        help="accept what this file lists (see `comparisons accept --help`)",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Checks the options before a test runs, and begins the report."""
    config.addinivalue_line(
        "markers",
        "parity(dtype='float32', orders=('value', 'vjp'), strict=False): defaults of the fixture "
        "`parity` in a test",
    )
    for name in config.getoption("--parity-report") or []:
        if Path(name).suffix.lower() not in SUFFIXES:
            raise pytest.UsageError(f"--parity-report: {name!r} must end in {', '.join(SUFFIXES)}")
        if Path(name).is_dir():
            raise pytest.UsageError(f"--parity-report: {name!r} is a folder")
    config.stash[_LEDGER] = _read_ledger(config.getoption("--parity-ledger"))
    if not hasattr(config, "workerinput"):  # pytest-xdist's workers leave it to their controller
        config.pluginmanager.register(_Session(config), "comparisons-session")


def _read_ledger(name: str | None) -> Ledger | None:
    if name is None:
        return None
    from comparisons._ledger import LedgerError, read_ledger

    try:
        return read_ledger(Path(name))
    except LedgerError as error:
        raise pytest.UsageError(f"--parity-ledger: {error}") from error


@pytest.fixture
def parity(request: pytest.FixtureRequest) -> Callable[..., Report]:
    """Compares a JAX function with a PyTorch function; the test fails if they do not agree.

    ``parity(jax_fn, torch_fn, inputs, orders=..., dtype=..., name=None)`` takes what
    ``comparisons.compare`` takes, and returns its report if the comparison passes.
    """
    marked = _read_marker(request.node)
    names: Counter[str] = Counter()

    def compare(
        jax_fn: Callable[..., Any],
        torch_fn: Callable[..., Any],
        inputs: tuple[Any, ...],
        orders: tuple[str, ...] | None = None,
        dtype: str | None = None,
        name: str | None = None,
    ) -> Report:
        __tracebackhide__ = True
        given = {"orders": orders, "dtype": dtype}
        chosen: dict[str, Any] = {"orders": ("value", "vjp"), "dtype": "float32", **marked}
        chosen |= {key: value for key, value in given.items() if value is not None}
        strict = chosen.pop("strict", False) or request.config.getoption("--parity-strict")

        case_name = f"{request.node.nodeid}::{name}" if name else request.node.nodeid
        names[case_name] += 1
        if names[case_name] > 1:
            case_name += f"#{names[case_name]}"
        case, environment = _run(request, jax_fn, torch_fn, inputs, case_name, chosen)
        if case.outcome == "fail" or (strict and case.outcome == "warn"):
            text = _explain(request, case, (jax_fn, torch_fn), inputs, chosen)
            pytest.fail(text, pytrace=False)

        from comparisons.report import Report

        return Report((case,), environment)

    return compare


def _read_marker(node: pytest.Item) -> dict[str, Any]:
    """What the markers of a test say, the nearest first."""
    found: dict[str, Any] = {}
    for marker in node.iter_markers("parity"):
        unknown = [*map(repr, marker.args), *(key for key in marker.kwargs if key not in _MARKED)]
        if unknown:
            raise pytest.UsageError(
                f"`pytest.mark.parity` must have arguments that it knows.\n"
                f"  expected: {', '.join(f'{name}=...' for name in _MARKED)}\n"
                f"  got:      {', '.join(unknown)}"
            )
        found = {**marker.kwargs, **found}
    return found


def _run(
    request: pytest.FixtureRequest,
    jax_fn: Callable[..., Any],
    torch_fn: Callable[..., Any],
    inputs: tuple[Any, ...],
    name: str,
    chosen: dict[str, Any],
) -> tuple[CaseResult, dict[str, Any]]:
    """Runs a comparison and keeps its result for the session's report, also if it raises."""
    __tracebackhide__ = True
    from comparisons._case import ParityCase, check_orders
    from comparisons._environment import describe_environment
    from comparisons._errors import explain_error
    from comparisons._ledger import apply_ledger
    from comparisons._results import CaseResult
    from comparisons._runner import read_source, run_case

    check_orders("parity", chosen["orders"])
    titles = [getattr(fn, "__name__", type(fn).__name__) for fn in (jax_fn, torch_fn)]
    case = ParityCase(
        name=name.strip("/ "),
        title=" and ".join(dict.fromkeys(titles)),
        jax=jax_fn,
        torch=torch_fn,
        inputs=inputs,
        orders=tuple(dict.fromkeys(chosen["orders"])),
        dtype=chosen["dtype"],
    )
    stash = request.config.stash
    if _ENVIRONMENT not in stash:
        stash[_ENVIRONMENT] = describe_environment()
    found = request.node.stash.setdefault(_FOUND, [])
    try:
        result = run_case(case)
    except Exception as error:
        told = explain_error(case, error)
        error.add_note(told.splitlines()[0])  # pytest shows all frames, and JAX has many
        found.append(
            CaseResult(
                name=case.name,
                title=case.title,
                leaves=(),
                error=told,
                jax_source=read_source(jax_fn),
                torch_source=read_source(torch_fn),
                dtype=case.dtype,
            )
        )
        raise
    ledger = stash[_LEDGER]
    if ledger is not None:
        (result,), _ = apply_ledger((result,), ledger)
    found.append(result)
    return result, stash[_ENVIRONMENT]


def _explain(
    request: pytest.FixtureRequest,
    case: CaseResult,
    functions: tuple[Callable[..., Any], Callable[..., Any]],
    inputs: tuple[Any, ...],
    chosen: dict[str, Any],
) -> str:
    from comparisons._failure import explain_failure
    from comparisons._snippet import SnippetError, write_snippet

    def make_folder() -> Path:
        cache = getattr(request.config, "cache", None)  # None with -p no:cacheprovider
        return Path(cache.mkdir("parity") if cache else tempfile.mkdtemp(prefix="parity-"))

    test_module = getattr(request, "module", None)
    try:
        snippet = "To see it again, run:\n\n" + write_snippet(
            *functions,
            inputs,
            chosen["orders"],
            chosen["dtype"],
            folder=make_folder,
            stem=hashlib.sha256(case.name.encode()).hexdigest()[:16],
            modules=[test_module] if test_module else [],
            paths=_find_own_paths(request.config.rootpath),
        )
    except SnippetError as error:
        command = shlex.join(["python", "-m", "pytest", request.node.nodeid])
        snippet = f"To see it again, run {command}\n(There is no snippet: {error}.)"
    return explain_failure(case, snippet)


def _find_own_paths(root: Path) -> list[str]:
    """Folders of the tested project that its tests may import from."""
    import sys

    from comparisons._errors import is_library_file

    paths = [Path(path).resolve() for path in sys.path if path]
    return [str(p) for p in paths if p.is_relative_to(root) and not is_library_file(str(p))]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Sends results along with the report of the test.

    So they reach pytest-xdist's controller as they come, and a worker that crashes takes only those
    of its last test with it.
    """
    report = yield
    found = item.stash.get(_FOUND, None)
    if found:
        from comparisons.report import Report

        results = Report(tuple(found), item.config.stash[_ENVIRONMENT])
        vars(report)["parity"] = json.dumps(results.to_dict())
        found.clear()
    return report


class _Session:
    """The results of a session: one per name, in the order in which tests were collected."""

    def __init__(self, config: pytest.Config):
        self.config = config
        self.paths = [Path(name).absolute() for name in (config.getoption("--parity-report") or [])]
        self.order: dict[str, int] = {}
        self.results: dict[str, tuple[str, CaseResult]] = {}
        self.environment: dict[str, Any] = {}
        self.lines: list[str] = []

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Learns the order, without pytest-xdist."""
        self._learn_order([item.nodeid for item in session.items])

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, node: Any, ids: list[str]) -> None:
        """Learns the order from pytest-xdist's workers, which all collect the same."""
        self._learn_order(ids)

    def _learn_order(self, ids: list[str]) -> None:
        for nodeid in ids:
            self.order.setdefault(nodeid, len(self.order))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Takes the results from the report of a test; where it is run again, the last count."""
        data: str | None = getattr(report, "parity", None)
        if data is None:
            return
        from comparisons.report import Report

        found = Report.from_dict(json.loads(data))
        self.environment = self.environment or found.environment
        for case in found.cases:
            self.results[case.name] = (report.nodeid, case)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Writes the reports, and holds the ledger against what was run."""
        if self.config.option.collectonly or not (self.results or self.paths):
            return
        from comparisons._ledger import apply_ledger
        from comparisons.report import Report

        # A sort is stable: the comparisons of one test stay in their order.
        results = sorted(self.results.values(), key=lambda item: self.order.get(item[0], -1))
        cases = tuple(case for _, case in results)
        ledger = self.config.stash[_LEDGER]
        problems: tuple[str, ...] = ()
        if ledger is not None:
            cases, problems = apply_ledger(cases, ledger)
            self.environment = {**self.environment, "ledger": str(ledger.path)}
        report = Report(cases, self.environment)
        self.lines += [*_tell(report), *(f"ledger: {problem}" for problem in problems)]
        failed = bool(problems) and self.config.getoption("--parity-strict")
        for path in self.paths:
            try:
                report.save(path)
                self.lines.append(f"wrote {path}")
            except OSError as error:
                self.lines.append(f"cannot write {path}: {error.strerror}")
                failed = True
        if failed and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Counts, warnings, and what is to be said of the ledger and the report."""
        if self.lines:
            terminalreporter.section("parity")
            for line in self.lines:
                terminalreporter.line(line)


def _tell(report: Report) -> list[str]:
    from comparisons.report._format import escape_controls

    if not report.cases:
        return ["nothing was compared"]
    summary = report.summary
    counts = ", ".join(f"{summary[outcome]} {outcome}" for outcome in ("pass", "warn", "fail"))
    leaves = [(case, leaf) for case in report.cases for leaf in case.leaves]
    accepted = sum(leaf.accepted is not None for _, leaf in leaves)
    lines = [f"{len(report.cases)} compared: {counts}" + f"; {accepted} accepted" * bool(accepted)]
    for case, leaf in leaves:
        if leaf.outcome == "warn" and case.outcome == "warn":
            place = f"{case.name} ({leaf.quantity} {leaf.path or '(output)'})"
            why = " ".join(f"{cause.title} {cause.fix}" for cause in leaf.causes) or leaf.reason
            lines.append(escape_controls(f"{leaf.verdict}  {place}: {why}"))
    return lines
