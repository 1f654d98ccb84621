"""A distribution carries the library as `geometric_instability`; an editable one, for the book, as `lib`."""

import sys

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py


class WithoutCommand(build_py):
    """`python -m lib` makes the book, whose rooms `pages` and `press` stay in the repository."""

    def find_package_modules(self, package, package_dir):
        return [m for m in super().find_package_modules(package, package_dir) if m[1] != "__main__"]


editable = "editable_wheel" in sys.argv
name = "lib" if editable else "geometric_instability"
rooms = find_packages("lib", exclude=() if editable else ("pages*", "press*"))
setup(
    packages=[name, *(f"{name}.{room}" for room in rooms)],
    package_dir={name: "lib"},
    package_data={f"{name}.figures": ["*.mplstyle", "*.ttf"]},
    cmdclass={} if editable else {"build_py": WithoutCommand},
)
