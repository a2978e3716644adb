from django.core.files.storage import FileSystemStorage
from django.db import connection, models
from django.db.models import Q


class BookQuerySet(models.QuerySet):
    def search(self, words):
        """Books with these words in their title, author or note.

        PostgreSQL knows that "reads" and "reading" are forms of one word. SQLite
        compares letters.
        """
        if connection.vendor == "postgresql":
            from django.contrib.postgres.search import SearchQuery, SearchVector

            vector = SearchVector("title", "author", "note", config="english")
            query = SearchQuery(words, config="english", search_type="websearch")
            return self.alias(found=vector).filter(found=query)
        books = self
        for word in words.split():
            books = books.filter(
                Q(title__icontains=word)
                | Q(author__icontains=word)
                | Q(note__icontains=word)
            )
        return books


class Book(models.Model):
    class Status(models.TextChoices):
        WANT = "want", "Want to read"
        READ = "read", "Read"

    class Thumbnail(models.TextChoices):
        NONE = "none"
        WAITING = "waiting"
        READY = "ready"
        FAILED = "failed"

    title = models.CharField(max_length=200)
    author = models.CharField(max_length=200)
    note = models.TextField(blank=True, max_length=500)
    status = models.CharField(max_length=4, choices=Status.choices, default=Status.WANT)
    cover = models.ImageField(upload_to="covers/", blank=True)
    # The name tells the book, so one that is made again takes the place of the first.
    thumbnail = models.ImageField(
        upload_to="thumbnails/",
        storage=FileSystemStorage(allow_overwrite=True),
        blank=True,
        editable=False,
    )
    thumbnail_status = models.CharField(
        max_length=7,
        choices=Thumbnail.choices,
        default=Thumbnail.NONE,
        editable=False,
    )
    added_at = models.DateTimeField(auto_now_add=True)

    objects = BookQuerySet.as_manager()

    class Meta:
        ordering = ["-added_at", "-pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["title", "author"],
                name="one_entry_per_book",
                violation_error_message="This book is on your list already.",
            )
        ]

    def __str__(self):
        return f"{self.title} ({self.author})"
