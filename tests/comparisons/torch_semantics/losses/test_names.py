"""No loss of PyTorch's is missing, and each has PyTorch's arguments, defaults and order."""

import inspect
import re

import pytest
import torch
import torch.nn.functional as F

from functional_ad.torch_semantics import losses

DEPRECATED = {"size_average", "reduce"}
LEFT_OUT = {"options"}  # of linear_cross_entropy, whose docstring says so


def test_no_loss_is_forgotten():
    named = {name for name in dir(F) if re.search("loss|entropy|kl_div", name)}
    classes = [getattr(torch.nn, name) for name in torch.nn.modules.loss.__all__]
    bodies = "".join(inspect.getsource(c.forward) for c in classes if "forward" in vars(c))
    called = set(re.findall(r"\bF\.(\w+)\(", bodies))
    assert len(called) > 20
    assert named | called == set(losses.__all__)


@pytest.mark.parametrize("name", losses.__all__)
def test_the_arguments_are_torchs(name):
    theirs = list(inspect.signature(getattr(F, name)).parameters.values())
    ours = inspect.signature(getattr(losses, name)).parameters.values()
    by_name = False
    expected = []
    for parameter in theirs:
        by_name |= parameter.name in DEPRECATED or parameter.kind is parameter.KEYWORD_ONLY
        if parameter.name not in DEPRECATED | LEFT_OUT:
            expected.append((parameter.name, parameter.default, by_name))
    assert [(p.name, p.default, p.kind is p.KEYWORD_ONLY) for p in ours] == expected


@pytest.mark.parametrize("name", losses.__all__)
def test_the_docstring_says_what_it_is_in_torch(name):
    text = inspect.getdoc(getattr(losses, name))
    assert f"``torch.nn.functional.{name}``" in text
    assert text.endswith(f"/generated/torch.nn.functional.{name}.html")
    for parameter in inspect.signature(getattr(losses, name)).parameters:
        assert re.search(rf"^    {parameter}: ", text, re.MULTILINE), parameter
