"""The table of error texts: what a registry's no means, official or a mirror."""

import pytest

from workshop.bases import pull
from workshop.engine import error_texts


@pytest.mark.parametrize("row", error_texts.TABLE)
def test_every_row_can_be_found_and_names_only_what_its_callers_give(row):
    names = {
        "engine": ("engine", "group", "certificates", "reason", "text"),
        "pull": ("registry", "reference", "mirror", "text"),
        "build": ("text",),
    }[row.subject]
    filled = dict.fromkeys(names, "…")
    assert row.what.format(**filled)
    assert row.fix.format(**filled)


def test_the_first_row_of_the_subject_counts():
    text = "tls: failed to verify certificate: x509: certificate signed by unknown authority"
    found = error_texts.find("pull", text, registry="It", reference="x:1", mirror="")
    assert found is not None
    assert found.kind == "certificate"
    assert text in found.what
    assert error_texts.find("pull", "something new") is None


def test_a_forbidden_pull_is_a_proxy_on_the_way_to_the_official_registry_alone():
    text = "error: 403 Forbidden"
    assert isinstance(pull.pull_problem("x:1", "", text), pull.OutOfReach)
    assert not isinstance(pull.pull_problem("x:1", "mirror", text), pull.OutOfReach)


def test_a_cache_that_lost_a_layer_is_to_be_emptied():
    found = error_texts.find("build", "ERROR: failed to solve: layer does not exist")
    assert found is not None
    assert "docker builder prune" in found.fix


def test_a_layer_without_its_folder_is_not_the_instructions_fault():
    text = (
        "ERROR: failed to solve: failed to prepare sha256:1 as 2: "
        "open /var/lib/docker/overlay2/3/.tmp-committed4: no such file or directory"
    )
    found = error_texts.find("build", text)
    assert found is not None
    assert "restart the engine" in found.fix
