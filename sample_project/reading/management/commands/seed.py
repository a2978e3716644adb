from django.core.management.base import BaseCommand

from reading.models import Book

WANT, READ = Book.Status.WANT, Book.Status.READ

BOOKS = [
    (
        "Frankenstein",
        "Mary Shelley",
        "Written at nineteen. What do we owe to what we make?",
        READ,
    ),
    (
        "The Count of Monte Cristo",
        "Alexandre Dumas",
        "Long. For the winter.",
        WANT,
    ),
    (
        "Flatland",
        "Edwin A. Abbott",
        "A square meets a sphere.",
        READ,
    ),
    (
        "Middlemarch",
        "George Eliot",
        "",
        WANT,
    ),
    (
        "The Time Machine",
        "H. G. Wells",
        "Short enough for one train ride.",
        WANT,
    ),
]


class Command(BaseCommand):
    help = "Add a few sample books. Books that are there already stay as they are."

    def handle(self, *args, **options):
        added = 0
        for title, author, note, status in BOOKS:
            _, created = Book.objects.get_or_create(
                title=title,
                author=author,
                defaults={"note": note, "status": status},
            )
            added += created
            self.stdout.write(f"{'added' if created else 'kept'}: {title}")
        self.stdout.write(f"{added} added, {len(BOOKS) - added} kept.")
