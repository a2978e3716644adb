"""The base images: present, pulled, or a stand-in made here."""
