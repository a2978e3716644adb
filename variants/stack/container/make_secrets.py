"""Make what compose.yaml needs and no repository may hold. What is there already stays.

Run it once, in the folder of compose.yaml: python container/make_secrets.py
"""

import os
import secrets
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
FOLDER = HERE / "secrets"


def main():
    # Nobody else gets into the folder. Within it every user may read, because a container
    # gets the file as it is, and its user is another one than yours.
    FOLDER.mkdir(exist_ok=True)
    FOLDER.chmod(0o700)
    (FOLDER / ".gitignore").write_text("*\n")
    keep("secret_key", secrets.token_urlsafe(50))
    had_password = (FOLDER / "database_password").exists()
    password = keep("database_password", secrets.token_urlsafe(24))
    keep("database_url", f"postgres://reading:{password}@db:5432/reading")
    settings = HERE / ".env"
    told = settings.read_text() if settings.exists() else ""
    lines = ["SECRETS=./secrets"]
    if hasattr(os, "getuid"):
        # compose.dev.yaml: what a container writes into your folder is yours.
        lines.append(f"OWNER={os.getuid()}:{os.getgid()}")
    told = told.splitlines()
    were_made = lines[0] in told
    told += [line for line in lines if line not in told]
    settings.write_text("".join(f"{line}\n" for line in told))
    if were_made and not had_password:
        print("A database that is there already keeps its old password. To type the new one in:")
        print('    docker compose exec db psql -U reading -c "\\password"')


def keep(name, value):
    """The content of a file, which is made if it is not there."""
    path = FOLDER / name
    if path.exists():
        print(f"kept: {path.relative_to(HERE)}")
    else:
        path.write_text(value)
        path.chmod(0o444)
        print(f"made: {path.relative_to(HERE)}")
    return path.read_text()


main()
