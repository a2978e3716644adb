from django.contrib import admin

from . import thumbnails
from .forms import BookForm
from .models import Book


@admin.register(Book)
class BookAdmin(admin.ModelAdmin):
    # The site's own form, so that an upload meets the same limits here.
    form = BookForm
    list_display = ["title", "author", "status", "added_at"]
    list_filter = ["status"]
    search_fields = ["title", "author", "note"]

    def save_model(self, request, obj, form, change):
        super().save_model(request, obj, form, change)
        thumbnails.order(obj)
