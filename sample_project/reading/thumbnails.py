import logging
import time
from datetime import timedelta
from io import BytesIO

from django.conf import settings
from django.core.files.base import ContentFile
from django.db import transaction
from django.utils import timezone
from PIL import Image, ImageOps

from .models import Book

logger = logging.getLogger(__name__)

SIZE = (112, 168)
# Its pixels are what a picture takes in memory: four bytes each.
MAX_PIXELS = 25_000_000


def order(book):
    """Have a thumbnail made: by a worker, or at once where there is no broker.

    The book's row says that it waits for one. A queue only makes it come sooner: what
    a queue loses, make_waiting finds.
    """
    if book.thumbnail_status == Book.Thumbnail.WAITING:
        # A worker would not find a row that is not committed yet.
        transaction.on_commit(lambda: _send(book.pk))


def _send(pk):
    if not settings.CELERY_BROKER_URL:
        try:
            make(pk)
        except OSError as error:
            # The book is added already.
            logger.error("The thumbnail of book %s has to wait: %s", pk, error)
        return
    # Installed where there are workers.
    from kombu.exceptions import OperationalError

    from app.celery import app

    try:
        app.send_task("reading.tasks.make_thumbnail", [pk])
    except OperationalError as error:
        logger.warning("No worker was told about the cover of book %s: %s", pk, error)


def make(pk):
    """Make the thumbnail of a book. Twice does no harm."""
    book = Book.objects.filter(pk=pk).first()
    if book is None or not book.cover:
        return
    time.sleep(settings.THUMBNAIL_SECONDS)
    # Another cover may have come meanwhile. It has a thumbnail of its own to wait for.
    same = Book.objects.filter(pk=pk, cover=book.cover.name)
    try:
        small = _small(book.cover)
    # A decoder of pictures raises whatever a broken one leads to.
    except Exception as error:
        logger.error("The cover of book %s can't be read: %s", pk, error)
        same.update(thumbnail_status=Book.Thumbnail.FAILED)
        return
    content = BytesIO()
    small.save(content, "JPEG", quality=85)
    name = f"thumbnails/{pk}.jpg"
    book.thumbnail.storage.save(name, ContentFile(content.getvalue()))
    same.update(thumbnail=name, thumbnail_status=Book.Thumbnail.READY)
    logger.info("The thumbnail of book %s is made.", pk)


def _small(cover):
    with cover.open() as file, Image.open(file) as image:
        if image.width * image.height > MAX_PIXELS:
            raise ValueError("it has too many pixels")
        return ImageOps.fit(ImageOps.exif_transpose(image).convert("RGB"), SIZE)


def make_waiting(seconds=60):
    """Make the thumbnails of books that have waited for so long; returns how many."""
    before = timezone.now() - timedelta(seconds=seconds)
    waiting = Book.objects.filter(
        thumbnail_status=Book.Thumbnail.WAITING, added_at__lte=before
    )
    for pk in (found := list(waiting.values_list("pk", flat=True))):
        make(pk)
    return len(found)
