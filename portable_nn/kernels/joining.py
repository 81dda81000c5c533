"""Which calls of a run are needed, and which of them one kernel does together, as the tables of `kernels.fast` say.

Where opaque code was called, the first step is the recorded run itself: what is joined then has to give the same bits.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from portable_nn.arrays import is_array
from portable_nn.kernels.recording import Call, Recorder, Value, leaves

__all__ = ["joined"]


def joined(recorder: Recorder, wanted: set[Any]) -> list[Call]:
    """Return the calls that lead to what is wanted, with one in the place of several where there is a kernel for it."""
    calls = _fused(recorder, _paired(recorder, _needed(recorder.calls, wanted)), wanted)
    return _chained(recorder, calls, wanted)


def _needed(calls: Sequence[Call], wanted: set[Any]) -> list[Call]:
    """Return the calls that lead to what is wanted."""
    needed, kept = set(wanted), list[Call]()
    for call in reversed(calls):
        if needed.intersection(leaves(call.result)):
            needed.update(leaf for leaf in leaves(call.arguments) if isinstance(leaf, Value))
            kept.append(call)
    return kept[::-1]


def _paired(recorder: Recorder, calls: Sequence[Call]) -> list[Call]:
    """Return the calls with each pair as one that gives both results, and that with a third if there is one."""
    paired: list[Call] = []
    left = list(calls)
    while left:
        call = left.pop(0)
        other = next((other for other in left if _are_a_pair(recorder, call, other)), None)
        if other is None:
            paired.append(call)
            continue
        left.remove(other)
        kernel = recorder.paired[call.name, other.name]
        left.insert(0, Call(f"{call.name}_{other.name}", kernel, call.arguments, (call.result, other.result)))
    return paired


def _are_a_pair(recorder: Recorder, call: Call, other: Call) -> bool:
    pair = call.name, other.name
    if pair not in recorder.paired or (recorder.is_opaque and pair in recorder.kernels.rounds_apart):
        return False
    return other.arguments in ((leaves(call.result)[-1],), (1.0, *call.arguments))


def _fused(recorder: Recorder, calls: Sequence[Call], wanted: set[Any]) -> list[Call]:
    """Return the calls with each pair as one whose first result only the second call needs."""
    uses = Counter(leaf for call in calls for leaf in leaves(call.arguments) if isinstance(leaf, Value))
    first = {call.result: call for call in calls if isinstance(call.result, Value)}
    fused: list[Call] = []
    for call in calls:
        before = first.get(call.arguments[0]) if isinstance(call.arguments[0], Value) else None
        kernel = None if before is None else recorder.fused.get((before.name, call.name))
        if before is None or kernel is None or uses[before.result] > 1 or before.result in wanted:
            fused.append(call)
            continue
        fused.remove(before)
        fused.append(Call(f"{before.name}_{call.name}", kernel, (*before.arguments, *call.arguments[1:]), call.result))
    return fused


def _chained(recorder: Recorder, calls: Sequence[Call], wanted: set[Any]) -> list[Call]:
    """Return the calls with each run of those that may be a chain as one."""
    chain, chained = recorder.kernels.chained, list[Call]()
    if chain is None or recorder.is_opaque:
        return list(calls)
    calls = _with_sums_moved(recorder, calls)
    last = {leaf: k for k, call in enumerate(calls) for leaf in leaves(call.arguments) if isinstance(leaf, Value)}
    end = 0
    for run in _runs(recorder, calls):
        begin, end = end, end + len(run)
        if len(run) == 1:
            chained += run
            continue
        made = [leaf for call in run for leaf in leaves(call.result)]
        given = dict.fromkeys(leaf for call in run for leaf in call.arguments if isinstance(leaf, Value))
        inputs = [value for value in given if value not in made]
        outputs = [value for value in made if value in wanted or last.get(value, 0) >= end]
        steps = [(call.name, call.arguments, call.result) for call in run]
        kernel = chain(inputs, steps, outputs)
        name = f"chain_{begin}_{'_'.join(call.name for call in run)}"
        chained.append(Call(name, kernel, tuple(inputs), outputs[0] if len(outputs) == 1 else tuple(outputs)))
    return chained


def _with_sums_moved(recorder: Recorder, calls: Sequence[Call]) -> list[Call]:
    """Return the calls with each sum over the batch directly behind the elementwise kernel whose result it adds up."""
    kernels, moved = recorder.kernels, list[Call]()
    for call in calls:
        place = len(moved)
        if call.name in kernels.chain_last and len(call.arguments) == 1:
            made = [k for k, before in enumerate(moved, 1) if before.result == call.arguments[0]]
            place = made[0] if made and moved[made[0] - 1].name in kernels.chainable else place
        moved.insert(place, call)
    return moved


def _runs(recorder: Recorder, calls: Sequence[Call]) -> list[list[Call]]:
    """Return the calls in runs: elementwise ones on arrays of one shape and dtype in one, any other by itself.

    Such a run may begin with an affine layer, and end with sums over the batch.
    """
    kernels, runs, goes_on = recorder.kernels, list[list[Call]](), None
    for call in calls:
        kind = _kind_of(recorder, call)
        if kind is None or kind != goes_on or call.name in kernels.chain_first:
            runs.append([])
        runs[-1].append(call)
        goes_on = None if call.name in kernels.chain_last else kind
    return runs


def _kind_of(recorder: Recorder, call: Call) -> tuple[Any, ...] | None:
    """Return shape and dtype of the arrays of a call that may stand in a chain; None for any other."""
    kernels, arguments, results = recorder.kernels, call.arguments, leaves(call.result)
    if call.name in kernels.chain_first:
        arguments = arguments[3:] if isinstance(arguments[2], Value) else None  # without a bias there is none to add
    elif call.name in kernels.chain_last:
        results = results[:-1]
    elif call.name not in kernels.chainable:
        return None
    if arguments is None or call.opaque:
        return None
    arrays: list[Any] = [recorder.arrays.get(leaf) for leaf in (*arguments, *results) if isinstance(leaf, Value)]
    kinds = {(array.shape, array.dtype) for array in arrays if is_array(array)}
    if any(array is None for array in arrays) or len(kinds) != 1:
        return None
    kind = kinds.pop()
    return kind if call.name in kernels.chainable or len(kind[0]) == 2 else None
