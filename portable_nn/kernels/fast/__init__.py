"""Kernels that beat their portable namesakes: one module a backend.

What may stand in such a module:

- `__all__` names all kernels that it accelerates. Each takes the arguments of its portable namesake and, if it can
  use memory that is given to it, `out`: what the same call returned the last time, or None in the place of a part of
  it. It may write there, and nowhere else; what counts is what it returns.
- `OVERWRITES`: those of them, element by element, that take as `out` their first argument too.
- `FUSED[first, second]`: one kernel for two, where only the second needs the result of the first. It takes the
  arguments of the first, then the rest of those of the second.
- `PAIRED[first, second]`: one kernel for two, where the second takes nothing but the (last) result of the first, which
  others need too, or 1.0 and what the first takes. It takes the arguments of the first and returns both results.
  What was paired may be paired or fused again, as `first_second`.
- `ROUNDS_APART`: those pairs of which the results differ in rounding from those of the two kernels.
- `CHAINABLE`, `CHAINED`: kernels, element by element, of which several in a row become one: `CHAINED(inputs, steps,
  outputs)` makes it, as `_cuda.chains` says. `CHAIN_FIRST` are kernels with which it may begin, `affine` and what was
  fused to it; `CHAIN_LAST` those with which it may end, `affine_gradient_b` and what was paired with it.
- `IN_PLACE`: updates of parameters that write over the parameters and slots they are given. The gradients are theirs
  too.
- `TOGETHER`: a class of contexts whose `kernels` are those of `IN_PLACE`, but wait with what they do until the end of
  the context.
- `WIDE_ONLY`: those that layers call and that do not take float16 and bfloat16. Networks that compute in these get the
  portable ones, and nothing is fused, paired or chained.
- `LIMITED_THREADS`: the function (multiplications of the largest product, count or None) that returns a context in
  which products are computed on as many threads as suit them.
- `HOST_PASS`: the function (compiled pass, device) that returns the pass which takes arrays of NumPy, `HOST_KIND`, as
  they are, and keeps none of their memory.
- `COMPILED`: a package, and the extra that brings it. With it the module `_{package}` here compiles other kernels, as
  its tables `KERNELS`, `FUSED` and `IN_PLACE` say: for those who train for long, or ask for it.

`tests/kernels/test_fast.py` holds each to its portable namesake, `benchmarks/kernels.py` shows from which size it wins.
A plan (`kernels.plan`) uses the tables; with a backend without a module here, it is the plain walk.
"""
