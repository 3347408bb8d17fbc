"""Recipes: every check's is there, and each says something that can be done."""

import re

from leadglass.survey.checks.registry import CHECKS
from leadglass.survey.recipes import RECIPES
from tests.corpus import ROOT


def test_every_recipe_that_a_check_names_is_there() -> None:
    assert {(check.id, fix) for check in CHECKS for fix in check.fixes if fix not in RECIPES} == set()


def test_every_recipe_that_is_named_anywhere_is_there() -> None:
    named: set[str] = set()
    for path in (ROOT / "src" / "leadglass" / "survey").rglob("*.py"):
        for given in re.findall(r"fixes=(\([^)]*\))", path.read_text()):
            named |= set(re.findall(r'"([a-z0-9-]+)"', given))
    assert len(named) > 10
    assert named - set(RECIPES) == set()


def test_every_recipe_says_why_and_what_to_do() -> None:
    for name, recipe in RECIPES.items():
        assert recipe.id == name
        assert recipe.title
        assert recipe.why.endswith(".")
        assert recipe.steps
        assert all(step.text or step.lines for step in recipe.steps), name


def test_what_does_not_exist_yet_is_not_promised() -> None:
    texts = [step.text for each in RECIPES.values() for step in each.steps if step.product == "Leadglass Guard"]
    assert texts
    assert all("comes later" in text for text in texts)


def test_recipes_name_no_address_of_anybody() -> None:
    for recipe in RECIPES.values():
        for step in recipe.steps:
            for word in step.lines.replace(":", " ").replace("/", " ").replace(",", " ").split():
                parts = word.strip("\"(){}'").split(".")
                if len(parts) == 4 and all(part.isdigit() for part in parts):
                    assert ".".join(parts).startswith(("192.0.2.", "127.0.0.")), step
