"""`uv sync` installs on every system that readers have: each package has a wheel for it.

Read from uv.lock alone, because a sdist may download or compile while it is installed.
"""

import tomllib

import pytest
from packaging.markers import Marker
from packaging.tags import Tag, compatible_tags, cpython_tags, mac_platforms
from packaging.utils import parse_wheel_filename

from workshop.paths import ROOT

LINUX_ARM = [f"manylinux_2_{minor}_aarch64" for minor in range(36, 16, -1)]
LINUX_X86 = [f"manylinux_2_{minor}_x86_64" for minor in range(36, 4, -1)]
# Name: sys_platform, platform_system, os_name, platform_machine, the platforms of its wheels.
SYSTEMS = {
    "Windows": ("win32", "Windows", "nt", "AMD64", ["win_amd64"]),
    "macOS, Intel": ("darwin", "Darwin", "posix", "x86_64", [*mac_platforms((14, 0), "x86_64")]),
    "macOS, Apple": ("darwin", "Darwin", "posix", "arm64", [*mac_platforms((14, 0), "arm64")]),
    "Linux, arm64": ("linux", "Linux", "posix", "aarch64", [*LINUX_ARM, "manylinux2014_aarch64"]),
    "Linux, x86-64": (
        "linux",
        "Linux",
        "posix",
        "x86_64",
        [*LINUX_X86, "manylinux2014_x86_64", "manylinux2010_x86_64", "manylinux1_x86_64"],
    ),
}
PYTHONS = ((3, 11), (3, 12), (3, 13), (3, 14))


@pytest.fixture(scope="module")
def locked():
    packages = tomllib.loads((ROOT / "uv.lock").read_text(encoding="utf-8"))["package"]
    found = {}
    for package in packages:
        found.setdefault(package["name"], []).append(package)
    return found


def needed(locked, environment):
    """The packages that `uv sync` installs there, each with what uv.lock says of it."""
    (project,) = locked["dockerfile-workshop"]
    waiting = [*project["dependencies"], *project["dev-dependencies"]["dev"]]
    found = {}
    while waiting:
        asked = waiting.pop()
        if "marker" in asked and not Marker(asked["marker"]).evaluate(environment):
            continue
        (package,) = [
            package
            for package in locked[asked["name"]]
            if asked.get("version") in (None, package["version"])
        ]
        wanted = {"", *asked.get("extra", [])}
        new = wanted - found.setdefault((package["name"], package["version"]), (package, set()))[1]
        found[package["name"], package["version"]][1].update(wanted)
        for extra in new:
            groups = package.get("optional-dependencies", {})
            waiting += groups.get(extra, []) if extra else package.get("dependencies", [])
    return [package for package, _ in found.values()]


def fits(package, tags: set[Tag]) -> bool:
    names = [wheel["url"].rpartition("/")[2] for wheel in package.get("wheels", [])]
    return any(parse_wheel_filename(name)[3] & tags for name in names)


@pytest.mark.parametrize("python", PYTHONS, ids=lambda python: ".".join(map(str, python)))
@pytest.mark.parametrize("system", SYSTEMS)
def test_every_package_has_a_wheel(locked, system, python):
    sys_platform, platform_system, os_name, machine, platforms = SYSTEMS[system]
    version = ".".join(map(str, python))
    environment = {
        "sys_platform": sys_platform,
        "platform_system": platform_system,
        "os_name": os_name,
        "platform_machine": machine,
        "python_version": version,
        "python_full_version": f"{version}.7",
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
    }
    tags = {*cpython_tags(python, platforms=platforms), *compatible_tags(python, None, platforms)}
    packages = needed(locked, environment)
    assert {"docker", "matplotlib", "pytest"} <= {package["name"] for package in packages}
    assert [package["name"] for package in packages if not fits(package, tags)] == []
