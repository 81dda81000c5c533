import numpy as np
import pytest

import portable_nn as pnn


def rows(graph):
    """The cells of the table below its rule."""
    return [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in graph.explain().splitlines()[2:]]


def test_the_chain_rule_of_the_apples():
    graph = pnn.Graph.from_postfix("((apple n *) tax *)", dtype="float64")
    graph.forward(apple=100.0, n=2.0, tax=1.1)
    graph.backward()
    assert graph.explain() == "\n".join(
        [
            "node         input  incoming gradient  local derivative  outgoing gradient",
            "--------------------------------------------------------------------------",
            "mul2: Mul()  mul1   1                  1.1               1.1",
            "mul2: Mul()  tax    1                  200               200",
            "mul1: Mul()  apple  1.1                2                 2.2",
            "mul1: Mul()  n      1.1                100               110",
        ]
    )


def test_a_gradient_of_zero_still_has_its_local_derivative():
    graph = pnn.Graph.from_postfix("((x ^3) y *)", dtype="float64")
    graph.forward(x=2.0, y=0.0)
    graph.backward()
    assert rows(graph) == [
        ["mul1: Mul()", "power1", "1", "0", "0"],
        ["mul1: Mul()", "y", "1", "8", "8"],
        ["power1: Power(3)", "x", "0", "12", "0"],
    ]


def test_fan_out_adds_and_a_branch_shows_both_ways():
    graph = pnn.Graph.from_postfix("((x Branch()).1=two (two.2 -) -)", dtype="float64")
    graph.forward(x=5.0)
    graph.backward(3.0)
    assert rows(graph) == [
        ["sub1: Sub()", "two.1", "3", "1", "3"],
        ["sub1: Sub()", "neg1", "3", "-1", "-3"],
        ["neg1: Neg()", "two.2", "-3", "-1", "3"],
        ["two: Branch()", "x", "3, 3", "1, 1", "6"],
    ]


def test_arrays_show_shapes_and_a_gradient_by_an_array_itself():
    graph = pnn.Graph.from_postfix("((x w *) Sum())", dtype="float64")
    graph.forward(x=np.ones((2, 3)), w=np.full(3, 2.0))
    graph.backward(0.5)
    ones = "(2, 3) mean 1 norm 2.45"
    halves = "(2, 3) mean 0.5 norm 1.22"
    assert rows(graph) == [
        ["sum1: Sum()", "mul1", "0.5", ones, halves],
        ["mul1: Mul()", "x", halves, "(2, 3) by (2, 3)", "(2, 3) mean 1 norm 2.45"],
        ["mul1: Mul()", "w", halves, "(2, 3) by (3,)", "(3,) mean 1 norm 1.73"],
    ]


def test_on_every_backend(xp64):
    graph = pnn.Graph.from_postfix("((x y +) ^2)", xp=xp64.place.xp, device=xp64.place.device, dtype="float64")
    graph.forward(x=1.0, y=2.0)
    graph.backward()
    assert [row[2:] for row in rows(graph)] == [["1", "6", "6"], ["6", "1", "6"], ["6", "1", "6"]]


def test_it_needs_both_passes():
    graph = pnn.Graph.from_postfix("(x y *)")
    for step in (lambda: None, lambda: graph.forward(x=1.0, y=1.0)):
        step()
        with pytest.raises(RuntimeError, match="forward pass and a backward pass"):
            graph.explain()
    graph.backward()
    assert "mul1" in graph.explain()
