"""README and documentation keep their word: blocks of Python run, and links lead somewhere."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def python_of(page):
    """All blocks of Python of a page, as one program."""
    blocks = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    return "\n".join(blocks)


def printed_by(page, folder):
    """What the block prints, run as it stands beside the published models."""
    (folder / "saved_models").symlink_to(ROOT / "saved_models")
    command = [sys.executable, "-c", python_of(page)]
    found = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    return found.stdout


@pytest.mark.train
def test_the_block_of_python_runs_as_it_stands(tmp_path):
    printed = printed_by(ROOT / "README.md", tmp_path)
    accuracy, size = re.search(r"([\d.]+)% in ([\d.]+) kB", printed).groups()
    assert float(accuracy) > 85
    assert float(size) < 25


@pytest.mark.train
def test_the_block_on_tables_predicts_raw_rows_from_the_file_alone(tmp_path):
    accuracy, files = printed_by(ROOT / "docs" / "tables.md", tmp_path).splitlines()
    assert float(accuracy) > 0.9
    assert files.split() == ["frontend.tflite", "frontend.h", "frontend.c", "frontend_vectors.npz"]


@pytest.mark.train
def test_the_device_block_reads_the_published_file(tmp_path):
    assert printed_by(ROOT / "docs" / "commands.md", tmp_path).split() == ["0"]


@pytest.mark.train
@pytest.mark.parametrize(
    "page",
    [page for page in PAGES[1:] if "```python" in page.read_text(encoding="utf-8")
     and page.name != "commands.md"],
    ids=lambda page: page.name,
)  # fmt: skip
def test_every_other_block_of_the_documentation_runs_as_it_stands(page, tmp_path):
    printed_by(page, tmp_path)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page):
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", page.read_text(encoding="utf-8"))
    assert not [link for link in links if not (page.parent / link).exists()]


def test_the_readme_is_one_page():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 100
