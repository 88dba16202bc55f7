"""Parts by name: what registers, what is found, and what a wrong name is told."""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from torch import nn

from priors import Density, registry
from priors.gaussian import Gaussian
from priors.registry import PRIORS, REGISTRIES, Registry, UnknownName, make, register, settings_of, unchanged
from priors.testing import toy_host

pytestmark = pytest.mark.usefixtures("own_parts")


class Other(Gaussian):
    """Another prior."""


@pytest.fixture
def dishes() -> Registry:
    """A registry of functions, without any of its own, that is gone after the test."""
    made = Registry("dish", (), callable, "a function", '@dish("name")')
    REGISTRIES.remove(made)
    return made


def test_unknown_prior_gives_the_near_name():
    with pytest.raises(ValueError, match=r"Unknown prior 'vamprior'\. Did you mean 'vampprior'\? Available: .*mixture"):
        make("vamprior", toy_host())


def test_unknown_setting_gives_the_near_name():
    with pytest.raises(ValueError, match=r"'mixture' has no setting 'component'\. Did you mean 'components'\?"):
        make("mixture", toy_host(), component=3)
    with pytest.raises(ValueError, match=r"'gaussian' has no setting 'components'\. It has: none"):
        make("gaussian", toy_host(), components=3)


def test_it_is_a_mapping():
    assert "gaussian" in PRIORS
    assert "gausian" not in PRIORS
    assert PRIORS.get("gausian") is None
    assert dict(PRIORS) == {name: PRIORS[name] for name in PRIORS}
    assert [*PRIORS] == sorted(PRIORS)
    assert len(PRIORS) == len([*PRIORS])
    assert "gaussian" in repr(PRIORS)


def test_an_unknown_name_is_an_error_of_either_kind(dishes: Registry):
    for kind in (ValueError, KeyError, UnknownName):
        with pytest.raises(kind) as caught:
            dishes["soup"]
        assert str(caught.value) == "Unknown dish 'soup'. Available: none."


def test_a_name_is_registered_once():
    own = PRIORS["gaussian"]
    with pytest.raises(ValueError, match=r"'gaussian' is registered already, by priors\.gaussian"):
        register("gaussian")(Other)
    assert PRIORS["gaussian"] is own
    assert register("gaussian")(own) is own
    assert register("other")(Other) is Other
    assert isinstance(make("other", toy_host()), Other)


@pytest.mark.parametrize("thing", [nn.Linear, Gaussian(toy_host()), lambda host: None])
def test_only_priors_are_registered(thing):
    with pytest.raises(TypeError, match="'thing' must be a subclass"):
        register("thing")(thing)
    assert "thing" not in PRIORS


@pytest.mark.parametrize("name", ["", " ", "a b", "/", "_x", "x" * 81, "[/]"])
def test_what_is_no_name_is_refused(name, dishes: Registry):
    with pytest.raises(ValueError, match="is no dish's name"):
        dishes.register(name)


def test_a_decorator_without_its_name_is_told(dishes: Registry):
    with pytest.raises(TypeError, match=r"a dish's name is a text, not .*@dish\(\"name\"\)"):
        dishes.register(print)


def test_a_partial_function_is_of_the_whole_ones_module(dishes: Registry):
    def cook(what: str) -> str:
        return what

    for name in ("soup", "stew"):
        dishes.add(name, partial(cook, name), partial(cook, name))
    assert dishes.module_of("soup") == __name__
    assert [*dishes] == dishes.foreign() == ["soup", "stew"]


def test_a_new_file_in_the_home_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """In the files' order where that is asked for, else by name."""
    (tmp_path / "kitchen").mkdir()
    (tmp_path / "kitchen" / "__init__.py").write_text("")
    base = "from priors.registry import Registry\n" + "".join(
        f"{name} = Registry('{name}', ('kitchen',), callable, 'a function', '@register', in_order={order})\n"
        for name, order in (("SORTED", False), ("ORDERED", True))
    )
    (tmp_path / "kitchen" / "base.py").write_text(base)
    for file, names in (("first", ("z", "c")), ("second", ("a",))):
        lines = "".join(
            f"@{kind}.register('{n}')\ndef {kind}_{n}(): ...\n" for kind in ("SORTED", "ORDERED") for n in names
        )
        (tmp_path / "kitchen" / f"{file}.py").write_text(f"from kitchen.base import ORDERED, SORTED\n{lines}")
    code = "from kitchen import second; from kitchen.base import *; print([*SORTED], [*ORDERED], SORTED.foreign())"
    root = Path(registry.__file__).parents[1]
    told = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"PYTHONPATH": f"{root}:{tmp_path}"},
        capture_output=True,
        text=True,
    )
    assert told.stdout == "['a', 'c', 'z'] ['z', 'c', 'a'] []\n", told.stderr


def test_a_home_that_fails_to_import_fails_again():
    broken = Registry("broken", ("no_such_module_anywhere",), callable, "a function", "@it")
    REGISTRIES.remove(broken)
    for _ in range(2):
        with pytest.raises(ModuleNotFoundError):
            len(broken)


def test_what_registers_within_is_forgotten():
    before = dict(PRIORS)
    with unchanged():
        register("other")(Other)
        PRIORS.put("gaussian", Other)
        PRIORS.drop("mixture")
        assert PRIORS["gaussian"] is Other
        assert "mixture" not in PRIORS
    assert before == dict(PRIORS)


def test_a_registry_that_is_made_within_is_emptied():
    with unchanged():
        late = Registry("late", (), callable, "a function", "@it")
        late.add("one", print, print)
    REGISTRIES.remove(late)
    assert len(late) == 0


def test_settings_are_the_constructors_keywords():
    assert [*settings_of(PRIORS["mixture"])][:1] == ["components"]
    assert settings_of(PRIORS["gaussian"]) == {}
    assert issubclass(PRIORS["mixture"], Density)
