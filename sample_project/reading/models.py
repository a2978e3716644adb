from django.db import models


class Book(models.Model):
    class Status(models.TextChoices):
        WANT = "want", "Want to read"
        READ = "read", "Read"

    title = models.CharField(max_length=200)
    author = models.CharField(max_length=200)
    note = models.TextField(blank=True, max_length=500)
    status = models.CharField(max_length=4, choices=Status.choices, default=Status.WANT)
    cover = models.ImageField(upload_to="covers/", blank=True)
    added_at = models.DateTimeField(auto_now_add=True)

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
