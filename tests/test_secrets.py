"""Passwords of URLs in texts that people read."""

import pytest

from keras_actfn._secrets import masked

pytestmark = pytest.mark.once


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ann:{}@host:5432/runs",
        "postgresql+psycopg://ann:{}@/runs?host=/tmp/socket",
        "mysql://ann:{}@host/runs and more words",
        "postgresql://:{}@host/runs",
        "postgresql://host/runs?user=ann&password={}",
        "sqlite:///file:runs.db?uri=true&password={}&cache=shared",
        "OperationalError: cannot reach 'postgresql://ann:{}@host/runs' (Background: https://x.y/z)",
    ],
)
@pytest.mark.parametrize("password", ["sesame", "ses%40ame", "p:w/x", "s?e#s"])
def test_a_password_is_masked(url, password):
    if "password={}" in url and "#" in password:
        return  # a character that ends a query
    text = masked(url.format(password))
    assert password not in text and "***" in text
    assert text.split("***")[0] == url.split("{}")[0]


@pytest.mark.parametrize("password", ["a@b", "a b", "a'b", 'a"b'])
def test_a_password_that_should_have_been_quoted_is_masked(password):
    assert masked(f"postgresql://ann:{password}@host/runs") == "postgresql://ann:***@host/runs"


@pytest.mark.parametrize(
    "text",
    [
        "runs/50%20off/s.db",
        "postgresql://host/runs",
        "postgresql://ann@host/runs",
        "sqlite:////tmp/a b.db",
        "https://host:8080/path",
        "relu(x): ann@host",
    ],
)
def test_other_texts_stay(text):
    assert masked(text) == text
