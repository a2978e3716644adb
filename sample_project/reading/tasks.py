from celery import shared_task

from . import thumbnails


@shared_task
def make_thumbnail(pk):
    thumbnails.make(pk)


@shared_task
def make_waiting_thumbnails():
    thumbnails.make_waiting()
