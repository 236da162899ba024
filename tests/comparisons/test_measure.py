"""The figures of a report, against exact arithmetic, NumPy's own neighbours and each other."""

import dataclasses
import functools
import math
import subprocess
import sys
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction

import ml_dtypes
import numba
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from comparisons import _loop, _measure, _tally
from comparisons._measure import absolute_gap, differ_in_sign, measure, ulp_distance
from comparisons._results import LeafResult

FLOATS = [np.float32, np.float64]
REALS = [*FLOATS, np.float16, ml_dtypes.bfloat16]
COMPLEX = [np.complex64, np.complex128]
INTEGERS = [np.bool_, np.uint8, np.int8, np.int32, np.int64, np.uint64]
ODD = [np.inf, -np.inf, np.nan, 0.0, -0.0]

# Sums of n products, each rounded, are off by n eps of the sum of their sizes at most, in whatever
# order they are taken. The pairs here have up to 5000 elements, and 5000 eps is 1.1e-12.
SUMS = 1.2e-12


def _name(dtype):
    return np.dtype(dtype).name


def _make_pair(dtype, seed, size, odd):
    """Two arrays of any bits, near each other in places, with ``odd`` numbers or all finite."""
    rng, dtype = np.random.default_rng(seed), np.dtype(dtype)
    if dtype.kind == "b":
        return rng.integers(0, 2, (2, size)).astype(bool)
    part = np.dtype(f"f{dtype.itemsize // 2}") if dtype.kind == "c" else dtype
    size *= dtype.itemsize // part.itemsize
    word = np.dtype(f"u{part.itemsize}")
    bits = 8 * part.itemsize
    a = rng.integers(0, np.iinfo(word).max, size, word, endpoint=True)
    b = a + (rng.integers(0, 3, size, word) << rng.integers(0, bits, size, word))
    if dtype.kind not in "iu":  # without the exponent's highest bit, nothing is NaN or infinite
        a, b = (x & ~word.type(1 << (bits - 2)) for x in (a, b))
    if dtype.kind not in "iu" and odd:
        choices = np.array(ODD).astype(part).view(word)
        a, b = (np.where(rng.random(size) < 0.1, rng.choice(choices, size), x) for x in (a, b))
    return a.view(dtype), b.view(dtype)


def _place(x):
    """Position on the line of all numbers of a dtype, counted from 0."""
    if x.dtype.kind in "iub":
        return int(x)
    bits, top = int(x.view(f"u{x.dtype.itemsize}")), 1 << (8 * x.dtype.itemsize - 1)
    return bits if bits < top else top - bits


def _compare_plainly(x, y):
    """Distance, gap, and whether they differ, of two real numbers, one at a time."""
    nans = bool(x != x) + bool(y != y)
    steps = [abs(_place(x) - _place(y)), math.inf, 0][nans]
    gap = 0.0 if nans == 2 or x == y else abs(float(x) - float(y))
    exact = x.dtype.kind in "iub"
    return steps, float(steps) if exact else gap, x.tobytes() != y.tobytes() and nans != 2


def _compare_elements(a, b):
    for x, y in zip(a, b, strict=True):
        pairs = [(x.real, y.real), (x.imag, y.imag)] if a.dtype.kind == "c" else [(x, y)]
        steps, gaps, differ = zip(
            *(_compare_plainly(*map(np.asarray, pair)) for pair in pairs), strict=True
        )
        yield max(steps), math.hypot(*gaps), any(differ)


def _take_root(fraction):
    """Square root of an exact fraction of any size, as a float."""
    exponent = (fraction.numerator.bit_length() - fraction.denominator.bit_length()) // 2
    return math.ldexp(math.sqrt(fraction / Fraction(4) ** exponent), exponent)


def _find_cosine(a, b):
    wide = [x.astype(np.complex128 if x.dtype.kind == "c" else np.float64) for x in (a, b)]
    pairs = zip(*(x.view(np.float64).tolist() for x in wide), strict=True)
    finite = [tuple(map(Fraction, pair)) for pair in pairs if all(map(math.isfinite, pair))]
    aa, ab, bb = (sum(p[i] * p[j] for p in finite) for i, j in ((0, 0), (0, 1), (1, 1)))
    return math.copysign(_take_root(ab * ab / (aa * bb)), ab) if aa and bb else None


@pytest.mark.parametrize("dtype", [*REALS, *COMPLEX, *INTEGERS], ids=_name)
@given(seed=st.integers(0, 2**32 - 1), size=st.integers(1, 40), odd=st.booleans())
def test_every_figure_is_that_of_exact_arithmetic(dtype, seed, size, odd):
    a, b = _make_pair(dtype, seed, size, odd)
    found = measure(a, b)
    steps, gaps, differ = zip(*_compare_elements(a, b), strict=True)

    assert found.different == sum(differ)
    assert found.max_ulp == float(max(steps))
    bits = 8 * a.dtype.itemsize // (2 if a.dtype.kind == "c" else 1)
    ways = [bits + 1 if each == math.inf else each.bit_length() for each in steps]
    assert list(found.histogram) == [ways.count(way) for way in range(max(ways) + 1)]
    assert sum(float(each) <= found.p99_ulp for each in steps) >= 0.99 * size
    assert found.p99_ulp <= found.max_ulp

    nans = [i for i, gap in enumerate(gaps) if math.isnan(gap)]
    np.testing.assert_equal(found.max_abs, math.nan if nans else max(gaps))
    assert found.argmax == (nans or [gaps.index(max(gaps))])[0]
    if nans or max(gaps) == math.inf:
        np.testing.assert_equal(found.rms, math.nan if nans else math.inf)
    else:
        rms = _take_root(sum(Fraction(gap) ** 2 for gap in gaps) / size) if any(gaps) else 0.0
        assert found.rms == pytest.approx(rms, rel=SUMS, abs=0)
    # Of vectors that cancel nearly, only the sizes of the products bound the sum's error.
    cosine = _find_cosine(a, b)
    assert found.cosine is None if cosine is None else abs(found.cosine - cosine) <= SUMS


def _total(tallies):
    return functools.reduce(_tally.merge, tallies)


def _assert_same(one, other):
    for name in ("different", "argmax", "steps"):
        assert getattr(one, name) == getattr(other, name)
        assert isinstance(getattr(one, name), int)  # a float could not hold them all
    np.testing.assert_array_equal(one.ways, other.ways)
    np.testing.assert_equal(one.max_abs, other.max_abs)
    for name in ("gaps", "aa", "bb"):
        sums = [float(getattr(each, name)) for each in (one, other)]
        assert sums[0] == pytest.approx(sums[1], rel=SUMS, abs=0, nan_ok=True)
    if math.isfinite(one.aa) and math.isfinite(one.bb):
        assert abs(one.ab - other.ab) <= SUMS * (one.aa + one.bb)


@pytest.mark.parametrize("dtype", REALS, ids=_name)
@given(
    seed=st.integers(0, 2**32 - 1),
    size=st.integers(1, 9) | st.integers(1, 5000),
    piece=st.sampled_from([1 << 17, 1500, 1024, 7]),
    odd=st.booleans(),
)
def test_the_compiled_loop_and_numpy_give_the_same(dtype, seed, size, piece, odd):
    a, b = _make_pair(dtype, seed, min(size, 500 * piece), odd)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_loop, "PIECE", piece)
        _assert_same(_total(_loop.tally_pair(a, b)), _total(_tally.tally_blocks(a, b, 0, a.size)))


def test_the_loop_leaves_to_numpy_only_what_is_not_finite(monkeypatch):
    spans = []

    def watch(a, b, start, stop):
        spans.append((start, stop))
        return _tally.tally_blocks(a, b, start, stop)

    monkeypatch.setattr(_loop, "PIECE", 2000)
    monkeypatch.setattr(_loop, "tally_blocks", watch)
    a = np.ones(6000, np.float32)
    b = a.copy()
    b[[3999, 5999]] = np.inf, np.nextafter(np.float32(1), np.float32(2))
    found = _total(_loop.tally_pair(a, b))
    assert spans == [(2000, 4000)]
    assert (found.max_abs, found.argmax, found.different) == (math.inf, 3999, 2)


def _lay_out(array, layout):
    """The same elements in another place in memory; a view that is not contiguous or odd."""
    if layout == "every other":
        wide = np.zeros((*array.shape, 2), array.dtype)
        wide[..., 0] = array
        return wide[..., 0]
    if layout == "backwards":
        return array[::-1].copy()[::-1]
    if layout == "transposed":
        return array.T.copy().T
    if layout == "read only":
        array = array.copy()
        array.flags.writeable = False
        return array
    if layout == "unaligned":
        raw = np.zeros(array.nbytes + 1, np.uint8)
        raw[1:] = np.frombuffer(array.tobytes(), np.uint8)
        return raw[1:].view(array.dtype).reshape(array.shape)
    return array.astype(array.dtype.newbyteorder(">"))


LAYOUTS = ["every other", "backwards", "transposed", "read only", "unaligned", "big endian"]


@pytest.mark.parametrize("large", [False, True], ids=["small", "large"])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.complex64, np.int32, bool], ids=_name)
def test_the_place_in_memory_does_not_matter(monkeypatch, dtype, layout, large):
    a, b = (x.reshape(60, 50) for x in _make_pair(dtype, 7, 3000, odd=True))
    wanted = measure(a, b)
    monkeypatch.setattr(_measure, "LARGE", 1 if large else 1 << 60)
    found = measure(_lay_out(a, layout), b)
    again = measure(a, _lay_out(b, layout))
    assert dataclasses.replace(found, rms=0.0, cosine=None, max_abs=0.0) == dataclasses.replace(
        wanted, rms=0.0, cosine=None, max_abs=0.0
    )
    np.testing.assert_equal(found.max_abs, wanted.max_abs)
    for name in ("rms", "cosine"):
        figures = [getattr(each, name) for each in (found, again)]
        assert figures == pytest.approx([getattr(wanted, name)] * 2, rel=SUMS, nan_ok=True)


@given(dtype=st.sampled_from(FLOATS), data=st.data(), steps=st.integers(0, 40))
def test_ulp_distance_counts_steps(dtype, data, steps):
    width = np.dtype(dtype).itemsize * 8
    start = data.draw(hnp.arrays(dtype, 3, elements=st.floats(-(2.0**100), 2.0**100, width=width)))
    moved = start
    for _ in range(steps):
        moved = np.nextafter(moved, np.asarray(np.inf, dtype))
    np.testing.assert_array_equal(ulp_distance(start, moved), steps)
    np.testing.assert_array_equal(ulp_distance(moved, start), steps)


@pytest.mark.parametrize("dtype", REALS, ids=_name)
def test_ulp_distance_at_the_ends_of_the_line(dtype):
    info = ml_dtypes.finfo(dtype)
    tiny, top = float(info.smallest_subnormal), float(info.max)
    a = np.array([0.0, -tiny, np.inf, np.nan, np.inf, -top, np.nan, 1.0]).astype(dtype)
    b = np.array([-0.0, tiny, top, np.nan, np.inf, top, 1.0, np.nan]).astype(dtype)
    across = 2.0 * float(np.asarray(info.max).astype(dtype).view(f"u{info.bits // 8}"))
    np.testing.assert_array_equal(ulp_distance(a, b), [0, 2, 1, 0, 0, across, np.inf, np.inf])


def test_complex_numbers_are_pairs_of_reals():
    up = np.float32(1 + 2**-23)
    a = np.array([1 + 1j, 1 + 1j, 3 + 4j, complex(1, -0.0)], np.complex64)
    b = np.array([1 + 1j, complex(up, 1), 0, 1 + 0j], np.complex64)
    found = measure(a, b)
    assert (found.different, found.max_abs, found.argmax) == (3, 5.0, 2)
    assert found.histogram[:2] == (2, 1)
    np.testing.assert_array_equal(ulp_distance(a, b)[:2], [0, 1])
    np.testing.assert_array_equal(differ_in_sign(a, b), [False, False, False, True])


def test_measure_by_hand():
    a = np.float32([1.0, 2.0, np.nan, np.inf, -0.0, 5.0])
    b = np.float32([1.0, 5.0, np.nan, np.inf, 0.0, 1.0])
    m = measure(a, b)
    assert m.different == 3  # 2 and 5, -0.0 and 0.0, 5 and 1
    assert (m.max_abs, m.argmax) == (4.0, 5)
    far = int(np.float32(5).view(np.uint32) - np.float32(1).view(np.uint32))
    assert m.max_ulp == m.p99_ulp == far
    assert m.histogram[0] == 4
    assert len(m.histogram) == far.bit_length() + 1
    assert m.rms == pytest.approx(math.sqrt(25 / 6), rel=1e-15)  # four exact terms, one root
    # (1 1 + 2 5 + 5 1) / (|1, 2, 5| |1, 5, 1|)
    assert m.cosine == pytest.approx(16 / math.sqrt(30 * 27), rel=1e-15)


def test_measure_of_scalars_integers_and_nothing():
    assert measure(np.float32(1), np.float32(3)).max_abs == 2.0
    assert measure(np.array([1, 5]), np.array([1, 2])).max_abs == 3.0
    assert measure(np.int32([1, 5]), np.int64([1, 2])).histogram == (1, 0, 1)
    assert measure(np.array([True, False]), np.array([True, True])).different == 1
    ends = np.int64([-(2**63)]), np.int64([2**63 - 1])
    assert measure(*ends).max_ulp == 2.0**64
    near = np.int64([2**60]), np.int64([2**60 + 1])  # one number at float64
    assert (measure(*near).max_abs, measure(*near).histogram) == (1.0, (0, 1))
    empty = measure(np.zeros((0, 3), np.float32), np.zeros((0, 3), np.float32))
    assert (empty.different, empty.max_abs, empty.rms) == (0, 0.0, 0.0)
    assert (empty.histogram, empty.argmax, empty.cosine) == ((), None, None)


@pytest.mark.parametrize(
    ("steps", "p99"),
    [
        ([0] * 100, 0),
        ([0] * 99 + [40], 0),
        ([0] * 98 + [40] * 2, 40),
        ([0] * 50 + [5] * 49 + [40], 7),
        ([0] * 49 + [1] * 50 + [40], 1),
        ([3], 3),
        ([2], 2),  # no more than the greatest
    ],
)
def test_ninety_nine_percent_are_no_farther_apart(steps, p99):
    a = np.ones(len(steps), np.float32)
    b = (a.view(np.uint32) + np.uint32(steps)).view(np.float32)
    assert measure(a, b).p99_ulp == p99


def test_nan_on_one_side_is_the_last_way():
    for dtype, way in zip(REALS, (33, 65, 17, 17), strict=True):
        a, b = np.zeros(100, dtype), np.zeros(100, dtype)
        b[7] = np.nan
        found = measure(a, b)
        assert (len(found.histogram), found.histogram[-1]) == (way + 1, 1)
        assert (found.max_ulp, found.p99_ulp, found.argmax) == (math.inf, 0.0, 7)
        assert math.isnan(found.max_abs)
    b[:2] = np.nan
    assert measure(a, b).p99_ulp == math.inf


@pytest.mark.parametrize("scale", [1e-320, 1e-200, 1e200, 1e307])
def test_squares_that_float64_cannot_hold(scale):
    a = np.array([3.0, 4.0, 0.0]) * scale
    b = np.array([3.0, 0.0, 4.0]) * scale
    found = measure(a, b)
    # The numbers themselves are rounded; near 1e-320 that is 1 in 1000.
    near = 1e-3 if scale < 1e-300 else SUMS
    assert found.rms == pytest.approx(4 * scale * math.sqrt(2 / 3), rel=near, abs=0)
    assert found.cosine == pytest.approx(9 / 25, rel=near)
    assert measure(a, a).rms == 0.0
    assert measure(a, np.zeros(3)).cosine is None


def test_small_numbers_beside_large_ones_change_no_sum_that_matters():
    a, b = np.array([1e-200, 1.0]), np.array([3e-200, 1.0])
    assert measure(a, b).rms == pytest.approx(2e-200 / math.sqrt(2), rel=SUMS, abs=0)


def test_figures_fill_a_leaf():
    figures = dataclasses.asdict(measure(np.ones(2), np.zeros(2)))
    del figures["argmax"]
    assert set(figures) <= {field.name for field in dataclasses.fields(LeafResult)}


@pytest.mark.parametrize(
    ("a", "b", "got"),
    [
        (np.zeros(2, np.float32), np.zeros(3, np.float32), r"got:      float32\[3\]"),
        (
            np.zeros(2, np.float32),
            np.zeros(2),
            r"float32\[2\].*got:      float64\[2\]",
        ),
        (np.zeros(2, np.int32), np.zeros(2, np.float32), r"got:      float32\[2\]"),
    ],
)
def test_pairs_that_do_not_match_are_refused(a, b, got):
    with pytest.raises(ValueError, match=rf"(?s)one shape and dtype.*{got}"):
        measure(a, b)


def test_a_gap_is_zero_only_where_both_are_the_same():
    a, b = np.float32([np.nan, np.nan, np.inf, np.inf]), np.float32([np.nan, 1, np.inf, -np.inf])
    gap = absolute_gap(a, b)
    assert (gap[0], gap[2], gap[3]) == (0.0, 0.0, np.inf)
    assert np.isnan(gap[1])


@pytest.mark.parametrize("large", [False, True], ids=["small", "large"])
@pytest.mark.parametrize("odd", [False, True], ids=["finite", "odd"])
@pytest.mark.parametrize("dtype", [np.float32, ml_dtypes.bfloat16], ids=_name)
def test_temporary_memory_is_bounded(monkeypatch, dtype, odd, large):
    monkeypatch.setattr(_measure, "LARGE", 1 if large else 1 << 60)
    a = np.ones(12 << 20, dtype)
    b = a + np.asarray(2**-7, dtype)
    if odd:
        b[:: 1 << 12] = np.nan
    measure(a[:9], b[:9])  # compiles
    tracemalloc.start()
    try:
        measure(a, b)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 16 << 20


def test_several_threads_may_measure_at_once(monkeypatch):
    monkeypatch.setattr(_measure, "LARGE", 1)
    pairs = [_make_pair(np.float32, seed, 300_000, odd=False) for seed in range(4)]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda p: measure(*p), pairs)) == [measure(*p) for p in pairs]


def test_small_pairs_do_not_import_numba():
    program = (
        "import sys, numpy\n"
        "from comparisons._measure import LARGE, measure\n"
        "for size, dtype in ((9, 'f4'), (100_000, 'f4'), (LARGE, 'i1')):\n"
        "    measure(numpy.ones(size, dtype), numpy.ones(size, dtype))\n"
        "print('numba' in sys.modules)\n"
        "measure(numpy.ones(LARGE, 'f4'), numpy.ones(LARGE, 'f4'))\n"
        "print('numba' in sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["False", "True"]


def test_the_loop_is_compiled_where_no_machine_code_can_be_kept(monkeypatch):
    njit, asked = numba.njit, []

    def refuse(*args, cache=False, **options):
        asked.append(cache)
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return njit(*args, **options)

    monkeypatch.setattr(numba, "njit", refuse)
    loop = _loop.compile_loop.__wrapped__("float32", "uint32")
    assert asked == [True, False]
    assert loop.signatures
