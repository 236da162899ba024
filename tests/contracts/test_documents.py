"""What the documents say is so: commands, code, links, names, decisions, the changelog."""

import importlib
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
DECISIONS = sorted(ROOT.glob("docs/decisions/*.md"))
FENCE = re.compile(r"^```(?P<language>[\w-]*)[^\n]*\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(
    r"(?<!`)!?\[[^\]]*\]\((?P<target>[^)\s]+)[^)]*\)|<img[^>]+src=\"(?P<source>[^\"]+)\""
)
HOSTS = re.compile(
    r"\b(pypi|pythonhosted|npmjs|yarnpkg|anaconda)[.](org|com)\b"
    r"|\b(deb|security)[.]debian[.]org|download[.]pytorch[.]org|/[.]library\b"
)

by_name = pytest.mark.parametrize(
    "document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix()
)


def read(path):
    return path.read_text(encoding="utf-8")


def read_readme_blocks(*languages):
    blocks = [
        m["body"] for m in FENCE.finditer(read(ROOT / "README.md")) if m["language"] in languages
    ]
    assert blocks, f"the README shows no {languages[0]}"
    return blocks


def read_targets():
    """Targets of the Makefile, the files among them left out."""
    return set(re.findall(r"^([a-z-]+):", read(ROOT / "Makefile"), re.MULTILINE))


def find_text_files():
    """Every file that could be committed: what .gitignore names is left out."""
    ignored = {line.strip("/\n ") for line in read(ROOT / ".gitignore").splitlines()} | {".git"}
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [name for name in folders if name not in ignored]
        for name in names:
            try:
                yield Path(folder, name), Path(folder, name).read_text(encoding="utf-8")
            except UnicodeDecodeError:
                continue


def test_the_readme_opens_with_the_two_commands():
    commands = "\n".join(read_readme_blocks("sh", "console", "bash"))
    assert "make report" in commands
    assert "make test" in commands


@by_name
def test_commands_exist(document):
    """`make X`, `python -m X` and `bash X` in code, as words of a sentence or in a block."""
    text = read(document)
    code = "\n".join(
        [*(m["body"] for m in FENCE.finditer(text)), *re.findall(r"`([^`\n]+)`", text)]
    )
    made = {
        word
        for line in re.findall(r"^\$? ?make ([a-z -]+)", code, re.MULTILINE)
        for word in line.split()
    }
    assert made <= read_targets()
    for module in re.findall(r"python -m ([\w.]+)", code):
        assert importlib.util.find_spec(module), module
    for script in re.findall(r"\b(?:ba)?sh ([\w./]+)", code):
        assert (ROOT / script).is_file(), script


@by_name
def test_links_and_pictures_are_there(document):
    broken = []
    for match in LINK.finditer(FENCE.sub("", read(document))):
        target = match["target"] or match["source"]
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (document.parent / path) if path else document
        if not file.exists() or (anchor and anchor not in find_anchors(file)):
            broken.append(target)
    assert broken == []


def find_anchors(document):
    """The anchors that GitHub makes of headings."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", read(document)), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@by_name
def test_names_of_ours_exist(document):
    """`functional_ad.x` and `comparisons.x` in code are public names, modules or attributes."""
    text = "\n".join(re.findall(r"`([^`\n]+)`", FENCE.sub("", read(document))))
    if "comparisons." in text:
        pytest.importorskip("torch", reason="needs torch")
    for name in re.findall(r"(?<![\w/.])((?:functional_ad|comparisons)(?:\.\w+)+)", text):
        assert resolve(name) is not None, name


def resolve(name):
    module, *attributes = name.split(".")
    value = importlib.import_module(module)
    for attribute in attributes:
        module = f"{module}.{attribute}"
        try:
            value = getattr(value, attribute)
        except AttributeError:
            value = importlib.import_module(module)
    return value


def test_python_in_the_readme_runs(tmp_path):
    """One block after the other, as a reader would paste them; what is printed is what is shown."""
    blocks = read_readme_blocks("python", "pycon")
    if any("comparisons" in block or "torch" in block for block in blocks):
        pytest.importorskip("torch", reason="needs torch")
    script = tmp_path / "readme.py"
    script.write_text("\n".join(blocks), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-W", "error", str(script)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    shown = [
        comment
        for block in blocks
        for comment in re.findall(r"^print\(.*\)  # (.+)$", block, re.MULTILINE)
    ]
    printed = done.stdout.splitlines()
    assert [line for line in shown if line not in printed] == []


def test_decisions_are_numbered_without_gaps_and_alike():
    assert DECISIONS
    assert [path.name[:5] for path in DECISIONS] == [
        f"{n:04}-" for n in range(1, len(DECISIONS) + 1)
    ]
    assert all(re.fullmatch(r"\d{4}(-[a-z0-9]+)+\.md", path.name) for path in DECISIONS)
    headings = {path.name: re.findall(r"^## (.+)$", read(path), re.MULTILINE) for path in DECISIONS}
    first = headings[DECISIONS[0].name]
    assert len(first) >= 2
    assert {name: found for name, found in headings.items() if found != first} == {}
    for path in DECISIONS:
        assert read(path).startswith(f"# {int(path.name[:4])}. "), (
            f"{path.name}: '# {int(path.name[:4])}. Title'"
        )


def test_the_changelog_has_the_version():
    project = tomllib.loads(read(ROOT / "pyproject.toml"))["project"]
    entries = re.findall(r"^## \[?(\d+\.\d+\.\d+)\b", read(ROOT / "CHANGELOG.md"), re.MULTILINE)
    assert entries[:1] == [project["version"]]


def test_no_file_names_the_host_of_a_package_registry():
    """Where packages come from is the business of the machine, not of the project."""
    files = list(find_text_files())
    assert len(files) > 30
    assert {
        str(path.relative_to(ROOT)): m[0] for path, text in files if (m := HOSTS.search(text))
    } == {}


@pytest.mark.parametrize(
    "words", [("pypi", "org"), ("files.pythonhosted", "org"), ("deb.debian", "org")]
)
def test_the_search_for_hosts_finds_them(words):
    assert HOSTS.search("https://" + ".".join(words) + "/simple")
