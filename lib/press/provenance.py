"""Where the numbers come from: profile, key and commit, as the foot of every page says it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

from ..paths import ROOT
from ..protocol import Profile
from ..store import digest

__all__ = ["provenance", "git"]


def provenance(asked: Profile, profile: str, root: Path = ROOT) -> dict[str, Any]:
    """What a page says about where its numbers come from."""
    plain = Profile.read(profile).values
    own = {name: value for name, value in asked.values.items() if value != plain[name]}
    return {
        "profile": " ".join([profile, *(f"{name}={_word(value)}" for name, value in own.items())]),
        "training_set": asked.protocol.training_set,
        "key": digest(asked.values),
        "commit": git(root, "rev-parse", "--short=12", "HEAD"),
        "changed": bool(git(root, "status", "--porcelain", "--untracked-files=no")),
        "published": (root / "book" / "published" / "manifest.json").is_file(),
    }


def git(root: Path, *words: str) -> str:
    """What git says of this very folder; nothing of a repository that it merely lies in or
    that the environment names."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}

    def ask(*words: str) -> str:
        command = ["git", "-C", str(root), *words]
        return subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout.strip()

    try:
        top = ask("rev-parse", "--show-toplevel")
        return ask(*words) if os.path.realpath(top) == os.path.realpath(root) else ""
    except (OSError, subprocess.CalledProcessError):  # an unpacked archive, or no git
        return ""


def _word(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
