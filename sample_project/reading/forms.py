from django import forms
from django.core.files.uploadedfile import UploadedFile

from .models import Book
from .thumbnails import MAX_PIXELS

IMAGE_TYPES = {"image/jpeg", "image/png", "image/webp", "image/gif"}
MAX_COVER_BYTES = 2 * 1024 * 1024
CHOOSE_IMAGE = "Choose a JPEG, PNG, WebP or GIF image of at most 2 MB."


class BookForm(forms.ModelForm):
    class Meta:
        model = Book
        fields = ["title", "author", "note", "status", "cover"]
        widgets = {
            "note": forms.Textarea(attrs={"rows": 3}),
            "cover": forms.ClearableFileInput(
                attrs={"accept": ",".join(sorted(IMAGE_TYPES))}
            ),
        }
        help_texts = {
            "note": "Optional. Why this book, or who told you about it.",
            "cover": "Optional. A JPEG, PNG, WebP or GIF image of at most 2 MB.",
        }
        error_messages = {
            "title": {"required": "Give the title of the book."},
            "author": {"required": "Give the author of the book."},
            "cover": {
                "invalid_image": f"This file is not an image. {CHOOSE_IMAGE}",
                "invalid_extension": f"This is not an image file. {CHOOSE_IMAGE}",
            },
        }

    def clean_cover(self):
        cover = self.cleaned_data["cover"]
        # A cover that is stored already, or none at all, is not checked again.
        if not isinstance(cover, UploadedFile):
            return cover
        # Django has looked at the picture, and keeps what it found.
        pixels = cover.image.width * cover.image.height
        if cover.size > MAX_COVER_BYTES or pixels > MAX_PIXELS:
            raise forms.ValidationError(f"This image is too large. {CHOOSE_IMAGE}")
        # Django sets content_type from the bytes; the browser's word is not used.
        if cover.content_type not in IMAGE_TYPES:
            raise forms.ValidationError(
                f"This kind of image is not accepted. {CHOOSE_IMAGE}"
            )
        return cover

    def save(self, commit=True):
        # The same INSERT or UPDATE as the cover: no book is left between the two.
        if "cover" in self.changed_data:
            status = Book.Thumbnail
            self.instance.thumbnail = ""
            self.instance.thumbnail_status = (
                status.WAITING if self.instance.cover else status.NONE
            )
        return super().save(commit)
