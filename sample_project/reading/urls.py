from django.urls import path

from . import views

urlpatterns = [
    path("", views.book_list, name="book_list"),
    path("add/", views.add_book, name="add_book"),
    path("books/<int:pk>/read/", views.mark_read, name="mark_read"),
    path("media/<path:path>", views.media, name="media"),
    path("healthz", views.healthz, name="healthz"),
]
