# SPDX-License-Identifier: ISC
"""Every process killed with -9 under load, in turn and at random."""
import pytest

from traffic import kill_at_random, kill_each


def test_each_in_turn(make_node):
    kill_each(make_node("--users", 10), rounds=5)


@pytest.mark.parametrize("turn", range(3))
def test_at_random(make_node, turn):
    kill_at_random(make_node("--users", 10), kills=100)
