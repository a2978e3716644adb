"""A hub for a room: any name, one password, a folder for each name. JupyterHub reads this file."""

import os
from pathlib import Path

from workshop.paths import FIRST

c = get_config()  # noqa: F821

ROOM = os.getcwd()

c.JupyterHub.bind_url = f"http://:{os.environ['ROOM_PORT']}"
c.JupyterHub.authenticator_class = "shared-password"
c.SharedPasswordAuthenticator.user_password = Path("/run/secrets/password").read_text().strip()
c.Authenticator.allow_all = True
# A name becomes a folder's.
c.Authenticator.username_pattern = r"[a-z0-9-]{1,30}\Z"

c.JupyterHub.spawner_class = "simple"
c.SimpleLocalProcessSpawner.home_dir_template = f"{ROOM}/{{username}}"
c.Spawner.cmd = ["workshop", "lab", "--no-browser"]
c.Spawner.default_url = f"/lab/tree/notebooks/{FIRST}"
# All participants wait for the same slots before they build.
c.Spawner.environment = {"WORKSHOP_ROOM": ROOM}
# The first one who comes waits until the base images are there.
c.Spawner.start_timeout = c.Spawner.http_timeout = 600
