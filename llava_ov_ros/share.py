"""Finds the files that are shipped with the package: models, configuration, the demonstration's bag."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

PACKAGE = "llava_ov_ros"


def shipped(relative: str) -> Path | None:
    """Path of a shipped file or folder such as `models/rooms`, or None if it is not installed.

    The folders above this module are searched: those of a source tree, a colcon install space or a pip environment.
    """
    for folder in Path(__file__).absolute().parents:
        if (folder / "package.xml").is_file() and (folder / relative).exists():
            return folder / relative
        if (folder / "share" / PACKAGE / relative).exists():
            return folder / "share" / PACKAGE / relative
    return None


@dataclass(frozen=True)
class Catalogue:
    """Shipped files of one category (models, prompts, vocabularies), by name; users may also give a path of their own.

    A shipped name takes precedence over a file or folder of the same name; `./NAME` is always a path.

    Attributes:
        folder: Folder in which the files are shipped, such as `config/prompts`.
        suffix: Suffix of the files; it is no part of their names.
    """

    folder: str
    suffix: str = ""

    def shipped(self) -> dict[str, Path]:
        """Paths of all shipped files of this category by name, sorted."""
        folder = shipped(self.folder)
        files = sorted(folder.iterdir()) if folder is not None else []
        return {file.name.removesuffix(self.suffix): file for file in files if file.name.endswith(self.suffix)}

    def path(self, name: str) -> Path:
        """Path of the shipped file of this name; otherwise the name itself as a path, with `~` expanded."""
        return self.shipped().get(name) or Path(name).expanduser()

    def beside(self, folder: Path, name: str) -> str:
        """Resolve a name found in a file of `folder`, as an argument for `path`.

        A name that is not shipped is a path, relative to `folder` if it exists there, else to the working directory.
        """
        return name if name in self.shipped() or not (folder / name).exists() else str(folder / name)


MODELS = Catalogue("models")
PROMPTS = Catalogue("config/prompts", ".yaml")
ACTIONS = Catalogue("config/actions", ".yaml")
