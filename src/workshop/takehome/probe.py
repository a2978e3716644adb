"""Ask Django about a project. Runs in a container of the project's packages, as a script.

It prints one line of JSON. A settings module that can't be imported without a variable gets one:
what it misses is read from the error, and the import is tried again.
"""

import contextlib
import importlib
import importlib.metadata
import io
import json
import logging
import os
import re
import subprocess
import sys

MARK = "@@workshop@@"
TRIES = 40
PATIENCE_S = 120
# What stands for a database while settings are imported.
SQLITE = "sqlite:////tmp/build.sqlite3"
# How settings say that a variable of the environment is missing.
PATTERNS = (
    r"Set the (\w+) environment variable",
    r"KeyError: ['\"]([A-Z][A-Z0-9_]+)['\"]",
    r"UndefinedValueError: (\w+) not found",
    r"[Ee]nvironment variable ['\"](\w+)['\"]",
    r"The (SECRET_KEY) setting must not be empty",
    r"\b([A-Z][A-Z0-9]*_[A-Z0-9_]+)\b[^\n]* (?:is|was|are|must be|not) "
    r"[^\n]*(?:set|defined|found|provided|required|missing)",
    r"(?:[Ss]et|[Mm]issing|[Dd]efine|[Pp]rovide)[^\n]* \b([A-Z][A-Z0-9]*_[A-Z0-9_]+)\b",
    r"^([a-z][a-z0-9_]*)\n\s+Field required",
)
# Where the log of a container may go besides its output.
NO_FILES = ("/dev/", "/tmp/")
# How a project names a page that says whether it is well.
HEALTH = re.compile(r"(?:^|[/_-])(?:health\w*|alive|livez?|liveness|readyz?|readiness)(?=[/_.-]|$)")


def value_for(name):
    """A value that can do no harm for a variable of this name."""
    if "URL" in name and re.search(r"DATABASE|POSTGRES|(^|_)DB_", name):
        return SQLITE
    if name.endswith(("DB_ENGINE", "DATABASE_ENGINE")):
        return "django.db.backends.sqlite3"
    if "SENTRY" in name and "DSN" in name:
        return "http://build@localhost/1"
    if any(part in name for part in ("REDIS", "BROKER", "CACHE", "CELERY")) and "URL" in name:
        return "redis://localhost:6379/0"
    if "EMAIL" in name and "URL" in name:
        return "smtp://localhost:25"
    if name.endswith(("_URL", "_URI", "_DSN", "_ENDPOINT", "_DOMAIN_URL")):
        return "http://localhost"
    if name.endswith(("PORT", "_DB", "TIMEOUT", "_SECONDS", "_SIZE", "_ID", "_AGE", "_LIMIT")):
        return "1"
    if name.startswith(("DEBUG", "USE_", "ENABLE_", "IS_")) or name.endswith(("DEBUG", "_ENABLED")):
        return "False"
    if name.endswith(("HOSTS", "ORIGINS", "HOST", "DOMAIN")):
        return "localhost"
    return "only-for-the-build"


def missing(error):
    """The variable that an error names, or nothing."""
    last = error.strip().splitlines()[-12:]
    for pattern in PATTERNS:
        found = re.findall(pattern, "\n".join(last), re.MULTILINE)
        if found:
            return found[-1].upper()
    # A value that is not there was used: the line of the settings names it.
    if last and "NoneType" in last[-1]:
        found = re.findall(r"(?:environ\.get|getenv)\(\s*['\"](\w+)['\"]", "\n".join(last))
        return found[-1] if found else ""
    return ""


def look(wanted):
    """Import the settings and say what is wanted of them; runs in a process of its own."""
    sys.path.insert(0, os.getcwd())
    # As a build does it: some settings ask for less then.
    sys.argv = ["manage.py", "collectstatic"]
    with contextlib.redirect_stdout(io.StringIO()):
        import django
        import django.utils.log
        from django.conf import settings

        configure = django.utils.log.configure_logging
        django.utils.log.configure_logging = lambda how, what: configure(how, without_files(what))
        django.setup()
        answers = told(django, settings) if wanted == "look" else health_pages()
    print(MARK + json.dumps(answers, default=str))


def told(django, settings):
    storages = getattr(settings, "STORAGES", {})
    backend = storages.get("staticfiles", {}).get("BACKEND", "")
    own = getattr(settings, "STATICFILES_STORAGE", None)
    if own and not getattr(settings._wrapped, "is_overridden", lambda name: False)("STORAGES"):
        backend = own
    databases = {
        alias: {
            "engine": database.get("ENGINE", ""),
            "name": str(database.get("NAME", "")),
            "host": database.get("HOST", ""),
        }
        for alias, database in settings.DATABASES.items()
    }
    module = importlib.import_module(settings.SETTINGS_MODULE)
    return {
        "django": django.get_version(),
        "wsgi": settings.WSGI_APPLICATION or "",
        "asgi": getattr(settings, "ASGI_APPLICATION", None) or "",
        "debug": bool(settings.DEBUG),
        "allowed_hosts": list(settings.ALLOWED_HOSTS),
        "applications": list(settings.INSTALLED_APPS),
        "middleware": list(settings.MIDDLEWARE),
        "static_root": folder(settings.STATIC_ROOT),
        "static_dirs": static_dirs(settings.STATICFILES_DIRS),
        "stores_here": stores_here(backend),
        "storage": backend,
        "media_root": folder(settings.MEDIA_ROOT),
        "databases": databases,
        "urls": getattr(settings, "ROOT_URLCONF", ""),
        "logs": logs(logging.getLogger("django.request")),
        "has_logging": isinstance(settings.LOGGING, dict) and bool(settings.LOGGING),
        "log_files": log_files(settings.LOGGING),
        "caches_in_database": any(
            cache.get("BACKEND", "").endswith("DatabaseCache") for cache in settings.CACHES.values()
        ),
        "secret_key": secret_key(settings),
        "redirects_for_ever": bool(settings.SECURE_SSL_REDIRECT)
        and not settings.SECURE_PROXY_SSL_HEADER,
        "has_static_app": "django.contrib.staticfiles" in settings.INSTALLED_APPS,
        "defined": [name for name in dir(module) if name.isupper()],
        # What Django takes in the place of a database that no setting names.
        "is_default": all(
            database.get("ENGINE", "").endswith(".dummy")
            for database in settings.DATABASES.values()
        ),
    }


def folder(path):
    """A folder without `..` in its name; empty if the settings name none."""
    return os.path.normpath(str(path)) if path else ""


def static_dirs(dirs):
    """The folders of STATICFILES_DIRS. One may stand there with a prefix."""
    return [folder(entry[1] if isinstance(entry, (list, tuple)) else entry) for entry in dirs]


def logs(logger):
    """Whether an error gets to a log of the project's while DEBUG is off, not only to a mailbox."""
    if not logger.isEnabledFor(logging.ERROR):
        return False
    while logger:
        if any(map(is_heard, logger.handlers)):
            return True
        logger = logger.parent if logger.propagate else None
    return False


def is_heard(handler):
    """Whether a handler prints or keeps errors, also while DEBUG is off."""
    filters = {type(each).__name__ for each in handler.filters}
    return (
        handler.level <= logging.ERROR
        and type(handler).__name__ not in ("AdminEmailHandler", "NullHandler")
        and "RequireDebugTrue" not in filters
    )


def without_files(told):
    """The same LOGGING, printed: a file's folder may not be there, and no file has to be made."""
    # Empty, it means that Django does not touch what is there.
    if not told or not isinstance(told, dict):
        return told
    handlers = {
        name: {"class": "logging.StreamHandler", "level": handler.get("level", "NOTSET")}
        if "filename" in handler
        else handler
        for name, handler in told.get("handlers", {}).items()
    }
    return {**told, "handlers": handlers}


def log_files(told):
    """The files in the container that something is logged to."""
    handlers = told.get("handlers", {}) if isinstance(told, dict) else {}
    names = [str(handler["filename"]) for handler in handlers.values() if "filename" in handler]
    return [path for path in map(os.path.abspath, names) if not path.startswith(NO_FILES)]


def health_pages():
    """The project's own pages whose names say that they are health checks."""
    from django.urls import get_resolver

    return [path for path in paths(get_resolver().url_patterns) if HEALTH.search(path)]


def paths(patterns, above="/"):
    """The addresses of URL patterns that hold nothing variable."""
    for pattern in patterns:
        path = above + re.sub(r"^\^|\$$|\\Z$", "", str(pattern.pattern)).replace("/?", "/")
        if hasattr(pattern, "url_patterns"):
            yield from paths(pattern.url_patterns, path)
        elif not re.search(r"[<(\[?*+\\]", path):
            yield path


def stores_here(backend):
    """Whether static files are collected on this machine, and not sent to another one."""
    from django.core.files.storage import FileSystemStorage
    from django.utils.module_loading import import_string

    try:
        return issubclass(import_string(backend), FileSystemStorage)
    except (ImportError, TypeError):
        return False


def secret_key(settings):
    """The key; empty where the settings have none for a build, which Django refuses to give."""
    from django.core.exceptions import ImproperlyConfigured

    try:
        return settings.SECRET_KEY
    except ImproperlyConfigured:
        return ""


def ask(variables, wanted="look"):
    """One look with these variables; the answers, or the error."""
    try:
        done = subprocess.run(
            [sys.executable, os.path.abspath(__file__), wanted],
            env={**os.environ, **variables}, capture_output=True, text=True, timeout=PATIENCE_S,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        # Code of the project may wait for a server that is not there.
        return None, f"no answer within {PATIENCE_S} seconds"
    lines = [line for line in done.stdout.splitlines() if line.startswith(MARK)]
    if lines:
        return json.loads(lines[-1][len(MARK) :]), ""
    return None, done.stderr


def files():
    return {
        os.path.join(folder, name)
        for folder, _, names in os.walk("/app")
        for name in names
        if not name.endswith(".pyc")
    }


def is_compiled_here(distribution):
    """True for what was compiled: an index has no wheels for plain "linux"."""
    tags = re.findall("^Tag: .*", distribution.read_text("WHEEL") or "", re.MULTILINE)
    return any("-linux_" in tag for tag in tags)


def settled(given):
    """The answers with ``given`` variables, those that had to be added, and the last error."""
    added, error, answers = {}, "", None
    for _ in range(TRIES):
        answers, error = ask({**given, **added})
        if answers is not None:
            break
        name = missing(error)
        if not name or name in added:
            break
        added[name] = value_for(name)
    return answers, added, error


def is_odd():
    """Whether a file that ends in .py is no Python of this version: a template, or Python 2."""
    for path in files():
        if path.endswith(".py"):
            with open(path, "rb") as file:
                try:
                    compile(file.read(), path, "exec")
                except (SyntaxError, ValueError):
                    return True
    return False


def main():
    before = files()
    answers, variables, error = settled({})
    result = {"error": error, "switch": ""}
    if not answers or answers["debug"]:
        # A server's DEBUG is off. Where a variable does that, all other settings may follow it,
        # and some that can't be imported with it ask for a developer's package.
        for name in ("DEBUG", "DJANGO_DEBUG"):
            quiet, more, _ = settled({**variables, name: "False"})
            if quiet and not quiet["debug"]:
                answers, variables, result["switch"] = quiet, {**variables, **more}, name
                break
    if answers:
        given = {**variables, **({result["switch"]: "False"} if result["switch"] else {})}
        # The same with other variables: what follows them is read from the environment.
        asked = {
            "DATABASE_URL": "postgres://workshop:workshop@probe.example:5432/probe",
            "ALLOWED_HOSTS": "probe.example",
            "DJANGO_ALLOWED_HOSTS": "probe.example",
            "SECRET_KEY": "asked-by-the-workshop",
            "DJANGO_SECRET_KEY": "asked-by-the-workshop",
        }
        result["other"], _ = ask({**given, **asked})
        again, _ = ask(given)
        result["is_random_key"] = bool(again) and again["secret_key"] != answers["secret_key"]
        # A key that is written to a file is not, where a variable holds it.
        for name in ("SECRET_KEY", "DJANGO_SECRET_KEY"):
            if made := files() - before:
                for path in made:
                    os.remove(path)
                held = {name: value_for(name)}
                if ask({**given, **held})[0] and not files() - before:
                    variables.update(held)
    result["answers"], result["variables"] = answers, variables
    result["made"] = sorted(files() - before)
    result["health"] = (ask(given, "health")[0] if answers else None) or []
    found = {
        re.sub(r"[-_.]+", "-", d.metadata["Name"]).lower(): d
        for d in importlib.metadata.distributions()
        if d.metadata["Name"]
    }
    result["odd"] = is_odd()
    result["packages"] = {name: d.version for name, d in found.items()}
    result["compiled"] = [name for name, d in found.items() if is_compiled_here(d)]
    result["cloned"] = any(
        "vcs_info" in (d.read_text("direct_url.json") or "") for d in found.values()
    )
    print(MARK + json.dumps(result))


if __name__ == "__main__":
    look(sys.argv[1]) if sys.argv[1:] else main()
