"""docs/architecture.md names every module under its folder; paths and imports that any document names exist."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "llava_ov_ros"
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text()
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
OTHER_PROJECTS = {
    # LLaVA-NeXT, ScanQA, LEO, ALFRED and CMRC 2018: where metrics and prompts come from.
    "llava/eval/evaluate_interleave.py",
    "llava/eval/model_vqa.py",
    "llava/eval/model_vqa_mmbench.py",
    "scripts/score.py",
    "evaluator/scanqa_eval.py",
    "data/data_utils.py",
    "models/eval/eval_task.py",
    "models/utils/metric.py",
    "env/tasks.py",
    "cmrc2018_evaluate.py",
}

MADE = {"out/check_gpu.json"}
"""Files that a documented command writes."""


def named_modules() -> dict[str, list[str]]:
    """The modules in the first column of each table below "## Modules", by folder; "" has the single modules."""
    text = ARCHITECTURE.partition("\n## Modules\n")[2].partition("\n## ")[0]
    parts = re.split(r"^### (.*)$", text, flags=re.MULTILINE)[1:]
    sections = zip(parts[::2], parts[1::2], strict=True)
    return {
        title.strip("`/").replace("Single modules", ""): [
            name
            for line in body.splitlines()
            if line.startswith("| `")
            for name in re.findall(r"`([\w/]+\.py)`", line.split(" | ")[0])
        ]
        for title, body in sections
    }


def test_architecture_names_every_module_once_under_its_folder():
    named = [f"{folder}/{name}".lstrip("/") for folder, names in named_modules().items() for name in names]
    there = [file.relative_to(PACKAGE).as_posix() for file in PACKAGE.rglob("*.py") if file.name != "__init__.py"]
    assert sorted(named) == sorted(there)


def shipped_files() -> list[str]:
    """Paths of the repository's files that documents may name, each with a slash before it."""
    folders = (
        "action",
        "config",
        "deploy",
        "docs",
        "examples",
        "launch",
        "llava_ov_ros",
        "models",
        "msg",
        "requirements",
    )
    folders = (*folders, "srv", "test", "tools")
    inner = [file for folder in folders for file in (ROOT / folder).rglob("*.*")]
    return [f"/{file.relative_to(ROOT).as_posix()}" for file in (*inner, *ROOT.glob("*.*"))]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_files_that_documents_name_exist(document):
    """A document may leave out the first folders of a path; files with other endings count only with a folder."""
    text, there = document.read_text(), shipped_files()
    modules = set(re.findall(r"`([\w/.]*\w\.py)`", text)) - OTHER_PROJECTS
    others = (
        set(re.findall(r"`(\w[\w./-]*/[\w.-]+\.(?:action|cpp|html|json|jsonl|md|msg|sh|srv|xml|yaml))`", text)) - MADE
    )
    assert [name for name in sorted(modules | others) if not any(file.endswith(f"/{name}") for file in there)] == []


def test_classes_that_architecture_names_exist():
    defined = {name for file in PACKAGE.rglob("*.py") for name in re.findall(r"^class (\w+)", file.read_text(), re.M)}
    of_others = {"MultiThreadedExecutor", "Answer"}
    named = set(re.findall(r"`([A-Z][a-z]\w+)(?:\.\w+)?`", ARCHITECTURE)) - of_others
    assert named - defined == set()


def imports(document: Path) -> list[str]:
    blocks = re.findall(r"^```python\n(.*?)^```", document.read_text(), flags=re.DOTALL | re.MULTILINE)
    return [line for block in blocks for line in block.splitlines() if line.startswith("from llava_ov_ros")]


@pytest.mark.parametrize("line", [line for document in DOCUMENTS for line in imports(document)])
def test_imports_of_documented_programs(line):
    module, names = re.fullmatch(r"from ([\w.]+) import (.*)", line).groups()
    missing = [name for name in names.split(", ") if not hasattr(importlib.import_module(module), name)]
    assert missing == []


def test_schema_that_the_example_suite_names_exists():
    suite = ROOT / "examples" / "suite.yaml"
    named = re.search(r"\$schema=(\S+)", suite.read_text()).group(1)
    assert (suite.parent / named).resolve() == PACKAGE / "evaluation" / "suite" / "suite.schema.json"
    assert (suite.parent / named).is_file()
