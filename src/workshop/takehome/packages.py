"""Debian's packages that Python packages need: to be compiled, and to run."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

COMPILER = ("gcc", "libc6-dev")
GIT = ("git", "ca-certificates")


@dataclass(frozen=True)
class Needs:
    """What one Python package needs, and the two sentences that say so in a Dockerfile."""

    build: tuple[str, ...] = ()
    run: tuple[str, ...] = ()
    why_build: str = ""
    why_run: str = ""


_LIBPQ = Needs(
    (*COMPILER, "libpq-dev"), ("libpq5",), "{} is published as source. It takes a compiler and "
    "libpq's headers, no more.", "The library that {} loads.",
)  # fmt: skip
# By the name of the Python package; sources are the packages' own installation pages.
NEEDS = {
    "psycopg-c": Needs(
        (*COMPILER, "libpq-dev"), ("libpq5",), _LIBPQ.why_build.format("psycopg"),
        "The library that psycopg loads.",
    ),
    "psycopg2": _LIBPQ,
    "mysqlclient": Needs(
        (*COMPILER, "pkg-config", "default-libmysqlclient-dev"), ("libmariadb3",),
        "{} is published as source.", "The library that {} loads.",
    ),
    "python-ldap": Needs(
        (*COMPILER, "libldap-dev", "libsasl2-dev"), ("libldap2",),
        "{} is published as source.", "The library that {} loads.",
    ),
    "uwsgi": Needs(COMPILER, (), "{} is published as source.", ""),
    "pycairo": Needs(
        (*COMPILER, "pkg-config", "libcairo2-dev"), ("libcairo2",),
        "{} is published as source.", "The library that {} loads.",
    ),
    "xmlsec": Needs(
        (*COMPILER, "pkg-config", "libxml2-dev", "libxmlsec1-dev", "libxmlsec1-openssl"),
        ("libxmlsec1-openssl",), "{} is published as source.", "The library that {} loads.",
    ),
    "weasyprint": Needs(
        (), ("libpango-1.0-0", "libpangoft2-1.0-0", "libharfbuzz-subset0"),
        "", "The libraries that {} loads.",
    ),
    "cairosvg": Needs((), ("libcairo2",), "", "The library that {} loads."),
    "python-magic": Needs((), ("libmagic1t64",), "", "The library that {} loads."),
    "pyzbar": Needs((), ("libzbar0t64",), "", "The library that {} loads."),
    "pdf2image": Needs((), ("poppler-utils",), "", "The programs that {} starts."),
    "pytesseract": Needs((), ("tesseract-ocr",), "", "The program that {} starts."),
    "gitpython": Needs((), ("git",), "", "The program that {} starts."),
    "pypandoc": Needs((), ("pandoc",), "", "The program that {} starts."),
}  # fmt: skip
# By the application of Django that loads it.
APPLICATIONS = {
    "django.contrib.gis": Needs(
        (), ("libgdal36", "libgeos-c1t64", "libproj25"), "", "The libraries that {} loads."
    ),
}
# psycopg without its compiled half, and without the one that brings libpq along.
_PLAIN_PSYCOPG = Needs((), ("libpq5",), "", "The library that psycopg loads.")
# What a compiler or a build says when something of Debian's is missing.
MISSING = {
    "pg_config": (*COMPILER, "libpq-dev"),
    "libpq-fe.h": (*COMPILER, "libpq-dev"),
    "mysql_config": NEEDS["mysqlclient"].build,
    "pkg-config": (*COMPILER, "pkg-config"),
    "ffi.h": (*COMPILER, "libffi-dev"),
    "jpeglib.h": (*COMPILER, "libjpeg-dev", "zlib1g-dev"),
    "headers or library files could not be found for": (*COMPILER, "libjpeg-dev", "zlib1g-dev"),
    "libxml/xmlversion.h": (*COMPILER, "libxml2-dev", "libxslt1-dev"),
    "the libxml2 and libxslt development packages": (*COMPILER, "libxml2-dev", "libxslt1-dev"),
    "g++": (*COMPILER, "g++"),
    "cc1plus": (*COMPILER, "g++"),
    "gcc": COMPILER,
    "'cc'": COMPILER,
    "error: command 'cc' failed": COMPILER,
    "Cannot find command 'git'": GIT,
    "Git executable not found": GIT,
    "git is not installed": GIT,
}  # fmt: skip


@dataclass(frozen=True)
class System:
    """Debian's packages of both stages, each with the sentences that say why."""

    build: tuple[str, ...] = ()
    run: tuple[str, ...] = ()
    why_build: tuple[str, ...] = ()
    why_run: tuple[str, ...] = ()


def of(
    python: Collection[str],
    applications: Collection[str] = (),
    missed: Collection[str] = (),
    loaded: Collection[str] = (),
) -> System:
    """What these Python packages, by their normalized names, and applications need.

    ``missed`` are Debian's packages that a build turned out to need, ``loaded`` those whose
    libraries a finished build was linked to.
    """
    wanted = [(name, NEEDS[name]) for name in NEEDS if name in python]
    wanted += [(name, APPLICATIONS[name]) for name in APPLICATIONS if name in applications]
    brings_libpq = {"psycopg-c", "psycopg-binary", "psycopg2", "psycopg2-binary"}
    if "psycopg" in python and not brings_libpq & set(python):
        wanted.append(("psycopg", _PLAIN_PSYCOPG))
    build = dict.fromkeys(name for _, needs in wanted for name in needs.build)
    run = dict.fromkeys(name for _, needs in wanted for name in needs.run)
    why_build = [needs.why_build.format(name) for name, needs in wanted if needs.why_build]
    why_run = dict.fromkeys(needs.why_run.format(name) for name, needs in wanted if needs.why_run)
    if set(missed) - set(build):
        why_build.append("A package of this project is published as source, or comes from git.")
    if set(loaded) - set(run):
        why_run["The libraries that packages of this project were linked to."] = None
    return System(
        tuple(dict.fromkeys([*build, *missed])),
        tuple(dict.fromkeys([*run, *loaded])),
        tuple(why_build),
        tuple(why_run),
    )


def missing(log: str) -> tuple[str, ...]:
    """What a failed build misses, by its words; empty if nothing known."""
    return next((found for text, found in MISSING.items() if text in log), ())
