import logging

from django.conf import settings
from django.contrib import messages
from django.db import Error, connection, transaction
from django.http import JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST, require_safe
from django.views.static import serve

from . import thumbnails
from .forms import BookForm
from .models import Book

logger = logging.getLogger(__name__)


@require_safe
def book_list(request):
    # PostgreSQL takes no text with a NUL in it.
    words = request.GET.get("q", "").replace("\0", "").strip()
    books = list(Book.objects.search(words) if words else Book.objects.all())
    shelves = [
        (label, [book for book in books if book.status == value])
        for value, label in Book.Status.choices
    ]
    context = {"shelves": shelves, "words": words}
    return render(request, "reading/book_list.html", context)


def add_book(request):
    form = BookForm(request.POST or None, request.FILES or None, label_suffix="")
    if request.method == "POST" and form.is_valid():
        with transaction.atomic():
            book = form.save()
            thumbnails.order(book)
        messages.success(request, f"“{book.title}” is on your list.")
        return redirect("book_list")
    return render(request, "reading/book_form.html", {"form": form})


@require_POST
def mark_read(request, pk):
    book = get_object_or_404(Book, pk=pk)
    book.status = Book.Status.READ
    book.save(update_fields=["status"])
    messages.success(request, f"You have read “{book.title}”.")
    return redirect("book_list")


@require_safe
def media(request, path):
    # Good enough for a small site. A busy one puts its uploads in object
    # storage, or lets a web server send them.
    return serve(request, path, document_root=settings.MEDIA_ROOT)


@require_safe
def healthz(request):
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except Error as error:
        logger.error("The database does not answer: %s", error)
        return JsonResponse({"status": "unavailable"}, status=503)
    return JsonResponse({"status": "ok"})
