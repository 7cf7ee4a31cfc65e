"""A plan that is kept up to date is the plan that would be made from nothing, and says in what it differs."""

from __future__ import annotations

import random
from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from nodegate_redirect.contract import Place, Redirect
from nodegate_redirect.plan import Node, Plan, make_plan
from nodegate_redirect.planner import Planner
from tests.unit.redirect.redirects import case


def ports_of(plan: Plan) -> Mapping[Place, int]:
    """Return where a kernel that holds the plan sends each place."""
    return {place: target.port for place, target in plan.targets.items()}


@given(st.integers(0, 2**32))
def test_after_any_history_it_is_the_plan_made_from_nothing(seed: int) -> None:
    """Services and sockets come and go, names change hands, addresses appear, strangers take ports."""
    chance = random.Random(seed)
    planner, asked = Planner(), dict[str, Redirect]()
    first = case(seed)
    planner.ask({redirect.name: redirect for redirect in first.asked})
    asked.update((redirect.name, redirect) for redirect in first.asked)
    plan, node = planner.restart(first.node, first.installed), first.node
    assert plan == make_plan(asked.values(), node, first.installed)
    for _ in range(chance.randint(1, 8)):
        other = case(chance.getrandbits(32))
        news: dict[str, Redirect | None] = {redirect.name: redirect for redirect in other.asked}
        news |= dict.fromkeys(chance.sample(sorted(asked), chance.randint(0, len(asked))))
        for name, redirect in news.items():
            asked.pop(name, None)
            if redirect is not None:
                asked[name] = redirect
        held = {(4, 18243): "nginx (pid 7)"} if chance.random() < 0.3 else {}
        opaque = {(6, 18243): "envoy (pid 8)"} if chance.random() < 0.3 else {}
        addresses = other.node.addresses if chance.random() < 0.3 else node.addresses
        node = Node(addresses, other.node.listening if chance.random() < 0.7 else node.listening, held, opaque)
        before, wanted = plan, make_plan(asked.values(), node, ports_of(plan))
        planner.ask(news)
        plan = planner.update(node)
        assert plan == wanted
        assert plan.difference(before.targets) == wanted.difference(dict(before.targets))


def test_what_changes_nothing_is_the_very_same_plan() -> None:
    planner, one = Planner(), case(7)
    planner.ask({redirect.name: redirect for redirect in one.asked})
    plan = planner.restart(one.node, {})
    assert planner.update(one.node) is plan
