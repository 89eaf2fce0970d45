from __future__ import annotations

import pickle

import pytest

from snnport import errors
from snnport.errors import DoesNotFit, InvalidGraph, SnnportError, UnknownName

KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, SnnportError)]


def test_a_message_is_where_what_and_remedy() -> None:
    error = DoesNotFit("conv1", "it needs 9 cores, the limit is 8", "Use fewer channels")
    assert str(error) == "conv1: it needs 9 cores, the limit is 8. Use fewer channels."
    assert (error.where, error.what, error.remedy) == ("conv1", "it needs 9 cores, the limit is 8", "Use fewer channels")


@pytest.mark.parametrize("end", [".", "?", "!"])
def test_a_sentence_that_is_ended_is_not_ended_twice(end: str) -> None:
    assert str(InvalidGraph("a", f"what{end}", f"do{end}")) == f"a: what{end} do{end}"


def test_without_a_remedy_the_message_ends_after_what() -> None:
    assert str(InvalidGraph("a", "it is empty")) == "a: it is empty."


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_survives_a_trip_to_another_process(kind: type[SnnportError]) -> None:
    error = pickle.loads(pickle.dumps(kind("where", "what", "remedy")))
    assert type(error) is kind
    assert (error.kind, error.where, error.what, error.remedy) == (kind.__name__, "where", "what", "remedy")


def test_an_unknown_name_gets_the_nearest_one() -> None:
    with pytest.raises(UnknownName, match=r"^target 'loihi': there is no such name\. Did you mean 'loihi2'\?$"):
        raise UnknownName.among("target", "loihi", ["cpu", "loihi2"])


def test_an_unknown_name_that_is_near_nothing_gets_them_all_sorted() -> None:
    with pytest.raises(UnknownName, match=r"^target 'zzz': there is no such name\. Known: cpu, loihi2\.$"):
        raise UnknownName.among("target", "zzz", ["loihi2", "cpu"])
