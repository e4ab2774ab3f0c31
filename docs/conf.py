"""The documentation as a site: `make docs` builds it into build/site. Sphinx reads this file."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from sphinx.application import Sphinx

ROOT = Path(__file__).parents[1]
PACKAGES = ROOT / "src" / "slm_orchestration"
# Figures that a command draws through another module.
DRAWN_BY = {"advice_plane": ["advise"], "one_strategy": ["run"]}

project = "slm-orchestration"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.viewcode"]
html_theme = "furo"
html_title = "slm-orchestration"
html_copy_source = False
html_show_sphinx = False
myst_heading_anchors = 3
# Docstrings write code between single backticks.
default_role = "literal"
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "show-inheritance": True}
toc_object_entries = False


def setup(app: Sphinx) -> None:
    """Write the pages that follow from the code before Sphinx looks for pages."""
    folder = Path(app.srcdir)
    (folder / "api").mkdir(exist_ok=True)
    for package in sorted(path.parent for path in PACKAGES.glob("*/__init__.py")):
        (folder / "api" / f"{package.name}.md").write_text(reference(package), encoding="utf-8")
    (folder / "figures.md").write_text(gallery(), encoding="utf-8")
    app.connect("source-read", links_within_the_site)
    app.connect("autodoc-process-docstring", plain_text)


def reference(package: Path) -> str:
    """Return the page of one package: each of its modules with what it defines."""
    lines = [f"# {package.name}", "", first_paragraph(package / "__init__.py"), ""]
    for path in sorted(package.rglob("*.py")):
        name = ".".join(path.relative_to(ROOT / "src").with_suffix("").parts)
        if path.name != "__init__.py":
            lines += [
                f"## {name.removeprefix('slm_orchestration.')}",
                "",
                "```{eval-rst}",
                f".. automodule:: {name}",
                "```",
                "",
            ]
    return "\n".join(lines)


def gallery() -> str:
    """Return the page of all figures: what each shows, what draws it, and its picture where it was drawn."""
    commands = {path.stem: path.read_text(encoding="utf-8") for path in sorted((ROOT / "experiments").glob("*.py"))}
    lines = [
        "# Figures",
        "",
        "Each is one file of `src/slm_orchestration/figures/`. Pictures are those of the last `make reproduce`.",
        "",
    ]
    for path in sorted((PACKAGES / "figures").glob("*.py")):
        drawing = DRAWN_BY.get(
            path.stem, [name for name in commands if f"figures.{path.stem} import" in commands[name]]
        )
        pictures = sorted((ROOT / "figures").glob(f"{path.stem}*.png"))
        if path.stem not in ("__init__", "labels", "naming", "style"):
            drawn_by = ", ".join(f"`python -m experiments.{name}`" for name in drawing)
            lines += [f"## {path.stem}", "", first_paragraph(path), "", f"Drawn by {drawn_by}.", ""]
            lines += [f"![{path.stem}](../figures/{picture.name})\n" for picture in pictures]
    return "\n".join(lines)


def first_paragraph(path: Path) -> str:
    """Return the first paragraph of a module's docstring."""
    return (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").split("\n\n")[0]


def links_within_the_site(app: Sphinx, page: str, content: list[str]) -> None:
    """Put README.md on the first page, and name files by their path where the site does not hold them."""
    if page == "index":
        readme = (ROOT / "README.md").read_text(encoding="utf-8")
        content[0] = readme.replace("](docs/", "](").replace("](figures/", "](../figures/") + content[0]
    content[0] = re.sub(r"(?<!!)\[([^\]]*)\]\((?!https?:|#)([^)#]*)(#[^)]*)?\)", link_or_path, content[0])


def link_or_path(link: re.Match[str]) -> str:
    """Return a link as it is where it leads to a page of the site, else its text and the path."""
    path = link[2].removeprefix("../")
    return (
        link[0]
        if (ROOT / "docs" / path).suffix == ".md" and (ROOT / "docs" / path).exists()
        else f"{link[1]} (`{path}`)"
    )


def plain_text(app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    """Show a docstring as it reads in the code: stars and bars as such, and lines `name: what it is` as a list."""
    escaped = [re.sub(r"(`[^`]*`)|([*|])", lambda mark: mark[1] or "\\" + mark[2], line) for line in lines]
    paragraphs = [part.split("\n") for part in "\n".join(escaped).split("\n\n")]
    lines[:] = "\n\n".join("\n".join(listed(part)) for part in paragraphs).split("\n")


def listed(paragraph: list[str]) -> list[str]:
    """Return a paragraph whose lines name things, one a line or with indented further lines, as a list."""
    named = [bool(re.match(r"[\w<`][^.]{0,60}?: ", line)) for line in paragraph]
    if sum(named) < 2 or not all(
        is_name or line[:1] in ("", " ") for is_name, line in zip(named, paragraph, strict=True)
    ):
        return paragraph
    return [f"- {line}" if is_name else f"  {line.strip()}" for is_name, line in zip(named, paragraph, strict=True)]
