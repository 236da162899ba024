"""What an entry of the catalogue is made of: a recogniser, a substitution, and words."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np

from comparisons._case import ParityCase
from comparisons._causes._ends import InputsChanged, OutputsChanged
from comparisons._causes._patch import Call, Patched, Replace
from comparisons._causes._references import References
from comparisons._causes._rewrite import Rewritten, Rule, Step
from comparisons._results import Cause

Array = np.ndarray[Any, Any]
Leaves = dict[str, Array]
Runs = Mapping[Any, Leaves]  # by order
Kind = Literal["convention", "mistake"]
Details = Mapping[str, Any]

SITES_TRIED = 4  # lines that call one function, each tried alone


@dataclasses.dataclass(frozen=True)
class Found:
    """A cause that closes the gap of a leaf.

    Attributes:
        cause: What a report prints.
        kind: ``"convention"`` if the frameworks chose differently, ``"mistake"`` if the port is
            wrong, or a framework.
    """

    cause: Cause
    kind: Kind


@dataclasses.dataclass(frozen=True)
class Attempt:
    """One substitution that may close the gap.

    Attributes:
        change: Makes the case that is run instead.
        details: What the texts of the entry are filled with.
        depth: In which order two attempts are applied: patches under rewritings under the ends.
    """

    change: Callable[[ParityCase], ParityCase]
    details: Details
    depth: int


@dataclasses.dataclass(frozen=True)
class Scene:
    """What is known of a failing case before anything is tried.

    Attributes:
        case: The case.
        jax: The JAX side's float64 results, by order and path.
        torch: PyTorch's.
        failing: (order, path) of the leaves to be explained.
        inputs: The inputs' leaves by path, as NumPy arrays.
        sites: By name of the entry, the lines where a function that it replaces is called as it
            says.
        steps: The equations of the JAX side's program; empty if it cannot be traced.
        references: Where the functions that can be replaced are referred to.
    """

    case: ParityCase
    jax: Runs
    torch: Runs
    failing: tuple[tuple[str, str], ...]
    inputs: Leaves
    sites: Mapping[str, tuple[str, ...]]
    steps: Sequence[Step]
    references: References

    def literals(self) -> set[float]:
        """The floating-point constants of the program."""
        return {value for step in self.steps for value in step.literals if value is not None}

    def sizes(self) -> list[int]:
        """Numbers that a reduction may have divided by: every product of an input's dimensions."""
        found: set[int] = set()
        for leaf in self.inputs.values():
            products = {1}
            for length in leaf.shape:
                products |= {product * length for product in products}
            found |= products
        return sorted(found - {0, 1})

    def has_nan_in_jax_alone(self) -> bool:
        """Whether PyTorch has a number somewhere where JAX has none."""
        return any(
            ours.shape == theirs.shape and bool(np.any(~np.isfinite(ours) & np.isfinite(theirs)))
            for _, _, ours, theirs in self.pairs()
        )

    def pairs(self) -> Iterator[tuple[str, str, Array, Array]]:
        """Order, path and both sides' results of each failing leaf that both sides have."""
        for order, path in self.failing:
            ours, theirs = self.jax[order].get(path), self.torch[order].get(path)
            if ours is not None and theirs is not None:
                yield order, path, ours, theirs


class How(Protocol):
    """A way to substitute: it looks at a scene, and says what is worth trying."""

    def attempts(self, name: str, scene: Scene) -> Iterator[Attempt]:
        """Yields what is recognised, the likeliest first."""
        ...


@dataclasses.dataclass(frozen=True, kw_only=True)
class Known:
    """An entry of the catalogue.

    Attributes:
        name: Short and unique.
        title: What differs, in one sentence. ``{...}`` is filled from the attempt's details.
        fix: The line to write instead.
        source: Address of the documentation or the thread.
        kind: Whether the frameworks differ, or the port or one of them is wrong.
        how: The substitution.
        narrow: Whether the gap may show at the working dtype alone, as what a device rounds does.
        rows: The rows of the atlas that it is an entry for; its words are the first one's.
    """

    name: str
    title: str
    fix: str
    source: str
    kind: Kind
    how: How
    narrow: bool = False
    rows: tuple[str, ...] = ()

    def describe(self, details: Details) -> Found:
        """The entry with an attempt's details filled in."""
        site = details.get("site")
        where = f" ({Path(site).name})" if site else ""
        cause = Cause(
            name=self.name,
            title=self.title.format(**details),
            fix=self.fix.format(**details) + where,
            source=self.source,
        )
        return Found(cause, self.kind)


@dataclasses.dataclass(frozen=True)
class Calls:
    """Functions of the JAX side are replaced where they are called.

    Attributes:
        targets: Full public names.
        replace: Gets a call and the option's values, returns another result.
        when: Whether a call is of the kind meant.
        options: The variants, each tried alone; they fill the texts. A function of the scene where
            they depend on it.
        suits: Whether the results are of the kind that it can explain.
    """

    targets: tuple[str, ...]
    replace: Callable[..., Any]
    when: Callable[[Call], bool] = lambda call: True
    options: Sequence[Details] | Callable[[Scene], Sequence[Details]] = ({},)
    suits: Callable[[Scene], bool] = lambda scene: True

    def attempts(self, name: str, scene: Scene) -> Iterator[Attempt]:
        """All lines that call it at once, then each alone."""
        sites = scene.sites.get(name, ())
        if not sites or not self.suits(scene):
            return
        options = self.options(scene) if callable(self.options) else self.options
        alone = sites[:SITES_TRIED] if len(sites) > 1 else ()
        for site in (None, *alone):
            for option in options:
                where = site or (sites[0] if len(sites) == 1 else None)
                yield self._try(scene, option, site, where)

    def _try(self, scene: Scene, option: Details, site: str | None, where: str | None) -> Attempt:
        def replace(call: Call) -> Any:
            if not is_meant(self, call) or (site and call.site != site):
                return call.again()
            return self.replace(call, **option)

        def change(case: ParityCase) -> ParityCase:
            inner = case.jax
            replacements: dict[str, Replace] = {}
            if isinstance(inner, Patched):  # one patch does for both
                if set(inner.replacements) & set(self.targets):
                    raise ValueError("Two substitutes for one function.")
                replacements, inner = dict(inner.replacements), inner.fn
            replacements |= dict.fromkeys(self.targets, replace)
            return dataclasses.replace(case, jax=Patched(inner, replacements, scene.references))

        return Attempt(change, {**option, "site": where}, depth=0)


def is_meant(how: Calls, call: Call) -> bool:
    """Whether a call is of the kind that an entry replaces; not if it cannot be told."""
    try:
        return bool(how.when(call))
    except Exception:  # unusual arguments: whatever this call is, it is not the known one
        return False


@dataclasses.dataclass(frozen=True)
class Program:
    """Equations of the JAX side's program are replaced.

    Attributes:
        rule: Makes the rule for the option's values.
        options: The variants that the scene suggests; none if nothing is recognised.
    """

    rule: Callable[..., Rule]
    options: Callable[[Scene], Sequence[Details]]

    def attempts(self, name: str, scene: Scene) -> Iterator[Attempt]:
        """Each option."""
        for option in self.options(scene):
            rule = self.rule(**option)
            yield Attempt(
                lambda case, rule=rule: dataclasses.replace(case, jax=Rewritten(case.jax, rule)),
                option,
                depth=1,
            )


@dataclasses.dataclass(frozen=True)
class Inputs:
    """One side gets other inputs.

    Attributes:
        options: What the scene suggests; each names the leaves' change as ``change``.
        side: The side that gets them.
    """

    options: Callable[[Scene], Iterator[Details]]
    side: Literal["jax", "torch"] = "jax"

    def attempts(self, name: str, scene: Scene) -> Iterator[Attempt]:
        """Each option."""
        for option in self.options(scene):

            def change(case: ParityCase, how: Any = option["change"]) -> ParityCase:
                fn = InputsChanged(case.jax if self.side == "jax" else case.torch, how)
                return dataclasses.replace(case, **{self.side: fn})

            yield Attempt(change, option, depth=2)


@dataclasses.dataclass(frozen=True)
class Outputs:
    """The JAX side's results are changed.

    Attributes:
        options: What the scene suggests; each has the changes by path as ``changes``.
    """

    options: Callable[[Scene], Iterator[Details]]

    def attempts(self, name: str, scene: Scene) -> Iterator[Attempt]:
        """Each option."""
        for option in self.options(scene):
            yield Attempt(
                lambda case, changes=option["changes"]: dataclasses.replace(
                    case, jax=OutputsChanged(case.jax, changes)
                ),
                option,
                depth=3,
            )


@dataclasses.dataclass(frozen=True)
class Setting:
    """The JAX side runs under a context manager.

    Attributes:
        context: Makes the context manager.
        when: Whether it would make a difference.
    """

    context: Callable[[], Any]
    when: Callable[[Scene], bool]

    def attempts(self, name: str, scene: Scene) -> Iterator[Attempt]:
        """One."""
        if not self.when(scene):
            return

        def change(case: ParityCase) -> ParityCase:
            def under(*inputs: Any) -> Any:
                with self.context():
                    return case.jax(*inputs)

            return dataclasses.replace(case, jax=under)

        yield Attempt(change, {}, depth=2)


@dataclasses.dataclass(frozen=True)
class AnyOf:
    """One cause that can be undone in more than one way.

    Attributes:
        ways: In the order in which they are tried.
    """

    ways: tuple[How, ...]

    def attempts(self, name: str, scene: Scene) -> Iterator[Attempt]:
        """Those of every way."""
        for way in self.ways:
            yield from way.attempts(name, scene)


def find_calls(how: How) -> Iterator[Calls]:
    """The replaced functions of an entry."""
    if isinstance(how, Calls):
        yield how
    elif isinstance(how, AnyOf):
        for way in how.ways:
            yield from find_calls(way)
