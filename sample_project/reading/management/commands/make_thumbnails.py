from django.core.management.base import BaseCommand

from reading import thumbnails


class Command(BaseCommand):
    help = "Make the thumbnails that books wait for, because no worker made them."

    def handle(self, *args, **options):
        count = thumbnails.make_waiting(seconds=0)
        self.stdout.write(f"{count} made.")
