"""Finds what is shipped beside the package: the small model, configuration, the demonstration's bag."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

PACKAGE = "llava_ov_ros"


def shipped(relative: str) -> Path | None:
    """Path of a file or folder such as `models/rooms`, or None where it is not there.

    Looks in the source tree, in a colcon install space and in a pip environment: each has it at a fixed place
    above this module.
    """
    for folder in Path(__file__).absolute().parents:
        if (folder / "package.xml").is_file() and (folder / relative).exists():
            return folder / relative
        if (folder / "share" / PACKAGE / relative).exists():
            return folder / "share" / PACKAGE / relative
    return None


@dataclass(frozen=True)
class Catalogue:
    """What is shipped of one sort and called by its name, where a user may name a path of their own as well.

    One rule for all sorts: a shipped name wins over a file or folder that happens to be called the same, and `./NAME`
    is always the path.

    Attributes:
        folder: Where these are shipped, such as `config/prompts`.
        suffix: Of their files, which is no part of their names.
    """

    folder: str
    suffix: str = ""

    def shipped(self) -> dict[str, Path]:
        """Everything that is shipped of this sort, by name, sorted."""
        folder = shipped(self.folder)
        files = sorted(folder.iterdir()) if folder is not None else []
        return {file.name.removesuffix(self.suffix): file for file in files if file.name.endswith(self.suffix)}

    def path(self, name: str) -> Path:
        """Where the thing of a name is: the shipped one, or what the name says as a path (`~` is expanded)."""
        return self.shipped().get(name) or Path(name).expanduser()

    def beside(self, folder: Path, name: str) -> str:
        """A name that stands in a file of a folder, for `path`: paths are relative to that folder first."""
        return name if name in self.shipped() or not (folder / name).exists() else str(folder / name)


MODELS = Catalogue("models")
PROMPTS = Catalogue("config/prompts", ".yaml")
ACTIONS = Catalogue("config/actions", ".yaml")
