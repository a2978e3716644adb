import os
import struct
import subprocess
import sys
import tempfile
import zlib
from io import BytesIO, StringIO
from pathlib import Path
from unittest import mock, skipUnless

from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.db import OperationalError, connection
from django.test import (
    Client,
    SimpleTestCase,
    TestCase,
    TransactionTestCase,
    override_settings,
)
from django.urls import reverse
from PIL import Image

from . import thumbnails
from .forms import MAX_COVER_BYTES
from .models import Book


def image_bytes(kind="PNG"):
    buffer = BytesIO()
    Image.new("RGB", (20, 30), "teal").save(buffer, kind)
    return buffer.getvalue()


def add(client, **fields):
    return client.post(
        reverse("add_book"),
        {"title": "Emma", "author": "Jane Austen", "status": "want", **fields},
        follow=True,
    )


class ListTests(TestCase):
    def test_empty_list(self):
        response = self.client.get("/")
        self.assertContains(response, '<html lang="en">')
        self.assertContains(response, "No books here yet.", count=2)

    def test_books_are_shown_and_escaped(self):
        Book.objects.create(title="Emma", author="<b>Jane</b>", note="A classic")
        response = self.client.get("/")
        self.assertContains(response, "&lt;b&gt;Jane&lt;/b&gt;")
        self.assertContains(response, "A classic")
        self.assertContains(response, "Mark as read")

    def test_mark_as_read(self):
        book = Book.objects.create(title="Emma", author="Jane Austen")
        response = self.client.post(reverse("mark_read", args=[book.pk]), follow=True)
        self.assertContains(response, "You have read “Emma”.")
        self.assertNotContains(response, "Mark as read")
        book.refresh_from_db()
        self.assertEqual(book.status, Book.Status.READ)

    def test_mark_as_read_needs_post_and_token(self):
        book = Book.objects.create(title="Emma", author="Jane Austen")
        url = reverse("mark_read", args=[book.pk])
        with self.assertLogs("django.request", "WARNING"):
            self.assertEqual(self.client.get(url).status_code, 405)
        with self.assertLogs("django.security.csrf", "WARNING"):
            response = Client(enforce_csrf_checks=True).post(url)
        self.assertEqual(response.status_code, 403)

    def test_admin_asks_for_a_login(self):
        response = self.client.get(reverse("admin:reading_book_changelist"))
        self.assertRedirects(response, "/admin/login/?next=/admin/reading/book/")


class SearchTests(TestCase):
    def setUp(self):
        Book.objects.create(title="Emma", author="Jane Austen", note="For the winter")
        Book.objects.create(title="Flatland", author="Edwin A. Abbott")

    def test_words_of_any_field(self):
        for words in ("emma", "Austen", "winter emma"):
            with self.subTest(words):
                response = self.client.get("/", {"q": words})
                self.assertContains(response, "Emma")
                self.assertNotContains(response, "Flatland")

    def test_nothing_found(self):
        response = self.client.get("/", {"q": "<whale>\0"})
        self.assertContains(response, "No books with these words.")
        self.assertContains(response, 'value="&lt;whale&gt;"')

    @skipUnless(connection.vendor == "postgresql", "SQLite compares letters")
    def test_forms_of_a_word(self):
        self.assertEqual(Book.objects.search("winters").get().title, "Emma")


class AddTests(TestCase):
    def test_form_has_labels(self):
        response = self.client.get(reverse("add_book"))
        for field in ("title", "author", "note", "status", "cover"):
            self.assertContains(response, f'<label for="id_{field}">')

    def test_book_is_added(self):
        response = add(self.client)
        self.assertRedirects(response, "/")
        self.assertContains(response, "“Emma” is on your list.")

    def test_title_and_author_are_required(self):
        response = add(self.client, title=" ", author="")
        self.assertContains(response, "Give the title of the book.")
        self.assertContains(response, "Give the author of the book.")
        self.assertFalse(Book.objects.exists())

    def test_same_book_twice(self):
        add(self.client)
        response = add(self.client)
        self.assertContains(response, "This book is on your list already.")
        self.assertEqual(Book.objects.count(), 1)


class UploadTests(TransactionTestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.enterContext(override_settings(MEDIA_ROOT=folder.name))
        self.enterContext(mock.patch.object(thumbnails.logger, "info"))

    def upload(self, name, content):
        return add(self.client, cover=SimpleUploadedFile(name, content))

    def test_cover_is_stored_and_served(self):
        content = image_bytes()
        response = self.upload("emma.png", content)
        book = Book.objects.get()
        self.assertContains(response, book.thumbnail.url)
        served = self.client.get(book.cover.url)
        self.assertEqual(served.headers["Content-Type"], "image/png")
        self.assertEqual(b"".join(served.streaming_content), content)
        served.close()

    def test_bad_covers_are_refused(self):
        too_large = image_bytes() + b"\0" * MAX_COVER_BYTES
        for name, content, message in (
            ("emma.png", b"not an image", "This file is not an image."),
            ("emma.html", image_bytes(), "This is not an image file."),
            ("emma.bmp", image_bytes("BMP"), "This kind of image is not accepted."),
            ("emma.png", too_large, "This image is too large."),
        ):
            with self.subTest(message):
                response = self.upload(name, content)
                self.assertContains(response, message)
                self.assertContains(response, "image of at most 2 MB")
                self.assertFalse(Book.objects.exists())

    def test_the_thumbnail_is_made_at_once_without_a_broker(self):
        self.upload("emma.webp", image_bytes("WEBP"))
        book = Book.objects.get()
        self.assertEqual(book.thumbnail_status, Book.Thumbnail.READY)
        with Image.open(book.thumbnail.path) as image:
            self.assertEqual((image.format, image.size), ("JPEG", thumbnails.SIZE))

    def test_what_the_queue_loses_is_made_later(self):
        with mock.patch("reading.thumbnails._send"):
            response = self.upload("emma.png", image_bytes())
        self.assertContains(response, "Its thumbnail is being made.")
        self.assertEqual(thumbnails.make_waiting(), 0)
        output = StringIO()
        call_command("make_thumbnails", stdout=output)
        self.assertEqual(output.getvalue(), "1 made.\n")
        self.assertNotContains(self.client.get("/"), "is being made")
        pk = Book.objects.get().pk
        thumbnails.make(pk)
        folder = Path(settings.MEDIA_ROOT, "thumbnails")
        self.assertEqual(os.listdir(folder), [f"{pk}.jpg"])

    def test_a_cover_that_is_gone(self):
        with mock.patch("reading.thumbnails._send"):
            self.upload("emma.png", image_bytes())
        Path(Book.objects.get().cover.path).unlink()
        with self.assertLogs("reading.thumbnails", "ERROR"):
            call_command("make_thumbnails", stdout=StringIO())
        self.assertContains(self.client.get("/"), "Its cover can't be read.")

    def test_a_cover_that_breaks_the_decoder_keeps_no_other_waiting(self):
        # More text than PIL takes, behind the pixels, where only a decoder looks.
        chunk = b"zTXt" + b"note\0\0" + zlib.compress(b"x" * 2_000_000)
        chunk = struct.pack(">I", len(chunk) - 4) + chunk
        chunk += struct.pack(">I", zlib.crc32(chunk[4:]))
        # The last twelve bytes end the picture.
        odd = image_bytes()[:-12] + chunk + image_bytes()[-12:]
        with mock.patch("reading.thumbnails._send"):
            self.upload("emma.png", image_bytes())
            add(
                self.client,
                title="Persuasion",
                cover=SimpleUploadedFile("odd.png", odd),
            )
        with self.assertLogs("reading.thumbnails", "ERROR"):
            call_command("make_thumbnails", stdout=StringIO())
        status = dict(Book.objects.values_list("title", "thumbnail_status"))
        self.assertEqual(status, {"Emma": "ready", "Persuasion": "failed"})

    def test_too_many_pixels_are_refused(self):
        buffer = BytesIO()
        Image.new("1", (6000, 5000)).save(buffer, "PNG")
        response = self.upload("emma.png", buffer.getvalue())
        self.assertContains(response, "This image is too large.")

    def test_a_book_is_added_though_the_thumbnail_has_no_room(self):
        full = OSError(28, "No space left on device")
        with (
            mock.patch("reading.thumbnails.make", side_effect=full),
            self.assertLogs("reading.thumbnails", "ERROR"),
        ):
            response = self.upload("emma.png", image_bytes())
        self.assertContains(response, "is on your list.")
        self.assertEqual(Book.objects.get().thumbnail_status, "waiting")

    def test_a_thumbnail_of_the_cover_before_is_not_taken(self):
        with mock.patch("reading.thumbnails._send"):
            self.upload("emma.png", image_bytes())
        book = Book.objects.get()

        def another(_):
            Book.objects.update(cover="covers/another.png")

        with mock.patch("reading.thumbnails.time.sleep", another):
            thumbnails.make(book.pk)
        self.assertEqual(Book.objects.get().thumbnail_status, "waiting")

    def test_a_broker_that_is_away_loses_no_book(self):
        broker = {"CELERY_BROKER_URL": "redis://127.0.0.1:1/0"}
        # Celery itself is no part of a small installation.
        celery = mock.MagicMock()
        celery.app.send_task.side_effect = ConnectionError("refused")
        kombu = mock.MagicMock(OperationalError=ConnectionError)
        modules = {"kombu.exceptions": kombu, "app.celery": celery}
        with (
            override_settings(**broker),
            mock.patch.dict(sys.modules, modules),
            self.assertLogs("reading.thumbnails", "WARNING"),
        ):
            response = self.upload("emma.png", image_bytes())
        self.assertContains(response, "is on your list.")
        self.assertEqual(Book.objects.get().thumbnail_status, "waiting")


class HealthTests(TestCase):
    def test_ok(self):
        response = self.client.get("/healthz")
        self.assertEqual(response.status_code, 200)
        self.assertEqual(response.json(), {"status": "ok"})

    def test_database_does_not_answer(self):
        with (
            mock.patch("reading.views.connection.cursor", side_effect=OperationalError),
            self.assertLogs("reading.views", "ERROR"),
            self.assertLogs("django.request", "ERROR"),
        ):
            response = self.client.get("/healthz")
        self.assertEqual(response.status_code, 503)
        self.assertEqual(response.json(), {"status": "unavailable"})


class SeedTests(TestCase):
    def seed(self):
        output = StringIO()
        call_command("seed", stdout=output)
        return output.getvalue()

    def test_second_run_adds_nothing(self):
        self.assertIn("5 added, 0 kept.", self.seed())
        Book.objects.filter(title="Middlemarch").update(note="Mine")
        self.assertIn("0 added, 5 kept.", self.seed())
        self.assertEqual(Book.objects.count(), 5)
        self.assertEqual(Book.objects.get(title="Middlemarch").note, "Mine")


class SecretKeyTests(SimpleTestCase):
    # The settings are read once per process, so each case needs one of its own.
    def run_python(self, *arguments, **variables):
        unwanted = {"DEBUG", "SECRET_KEY", "SECRET_KEY_FILE"}
        kept = {k: v for k, v in os.environ.items() if k not in unwanted}
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=settings.BASE_DIR,
            env=kept | variables,
            capture_output=True,
            text=True,
        )

    def test_commands_refuse_in_one_line(self):
        for command in ("migrate", "runserver", "check"):
            with self.subTest(command):
                result = self.run_python("manage.py", command)
                self.assertEqual(result.returncode, 1)
                self.assertRegex(
                    result.stderr,
                    r"\AConfiguration error: SECRET_KEY is not set\..*\n\Z",
                )

    def test_serving_refuses(self):
        result = self.run_python("-c", "import app.wsgi")
        self.assertEqual(result.returncode, 1)
        self.assertIn("SECRET_KEY is not set.", result.stderr.splitlines()[-1])

    def test_collectstatic_needs_no_key(self):
        result = self.run_python("manage.py", "collectstatic", "--noinput", "--dry-run")
        self.assertEqual(result.returncode, 0, result.stderr)

    def test_key_from_environment_or_file(self):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "key")
            path.write_text("from-a-file")
            for variables in (
                {"SECRET_KEY": "from-the-environment"},
                {"SECRET_KEY_FILE": str(path)},
                {"DEBUG": "true"},
            ):
                with self.subTest(variables):
                    result = self.run_python("-c", "import app.wsgi", **variables)
                    self.assertEqual(result.returncode, 0, result.stderr)
