"""Standard errors, intervals and tests against published numbers, scipy, and what must hold for all data."""

import math
from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import stats
from snakeval.results.statistics.estimates import (
    bootstrap,
    clustered_stderr,
    effective_size,
    estimate,
    estimate_from_stderr,
    pass_at_k,
    reported_k,
    wilson,
)
from snakeval.results.statistics.paired import (
    bonett_price,
    holm,
    mcnemar_exact,
    minimum_detectable_effect,
    paired_difference,
    sign_flip,
    unpaired_difference,
)
from snakeval.results.statistics.scores import Scores, make_scores, shared

SCORES = st.lists(st.floats(0, 1), min_size=2, max_size=12)


def _plain(values: list[float]) -> Scores:
    return make_scores({index: [value] for index, value in enumerate(values)})


def _repeated(rows: list[list[float]]) -> Scores:
    return make_scores(dict(enumerate(rows)))


@pytest.mark.parametrize(("right", "n"), [(81, 263), (15, 148), (0, 20), (1, 29), (29, 29)])
def test_wilson_is_scipys(right: int, n: int) -> None:
    ours = wilson(right / n, n)
    theirs = stats.binomtest(right, n).proportion_ci(method="wilson")
    assert ours == pytest.approx((theirs.low, theirs.high), abs=1e-12)


@pytest.mark.parametrize(
    ("right", "n", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_as_newcombe_published_it(right: int, n: int, low: float, high: float) -> None:
    """Newcombe (1998), Statistics in Medicine 17:857, table I, method 3."""
    assert wilson(right / n, n) == pytest.approx((low, high), abs=5e-5)


@given(SCORES)
def test_stderr_of_single_answers_is_scipys(values: list[float]) -> None:
    assert clustered_stderr(_plain(values)) == pytest.approx(stats.sem(values), abs=1e-12)


def test_stderr_of_clusters() -> None:
    """By hand: the means 1, 1 and 0, 0.5 of two clusters deviate by 0.375 + 0.375 and by -0.625 - 0.125."""
    scores = make_scores({"a": [1.0], "b": [1.0], "c": [0.0], "d": [0.0, 1.0]}, {"a": 1, "b": 1, "c": 2, "d": 2})
    assert clustered_stderr(scores) == pytest.approx(math.sqrt(2 * 0.75**2 * 2) / 4)
    assert clustered_stderr(make_scores({"a": [1.0], "b": [0.0]}, {"a": 1, "b": 1})) is None


@given(SCORES, st.integers(2, 4))
def test_repeating_an_answer_tells_nothing_new(values: list[float], repeats: int) -> None:
    once, often = _plain(values), _repeated([[value] * repeats for value in values])
    assert clustered_stderr(often) == pytest.approx(clustered_stderr(once), abs=1e-12)


@given(st.lists(st.booleans(), min_size=2, max_size=60))
def test_a_proportion_has_wilsons_interval_with_or_without_samples(answers: list[bool]) -> None:
    scores = _plain([float(answer) for answer in answers])
    found = estimate(scores)
    ends = stats.binomtest(sum(answers), len(answers)).proportion_ci(method="wilson")
    assert (found.ci_low, found.ci_high) == pytest.approx((ends.low, ends.high), abs=1e-9)
    assert estimate_from_stderr(found.value, found.stderr, len(answers)) == found


def test_without_samples_other_scores_have_the_normal_interval_or_none() -> None:
    normal = estimate_from_stderr(0.5, 0.01, 100)
    assert normal.method == "normal"
    assert (normal.ci_low, normal.ci_high) == pytest.approx((0.4804, 0.5196), abs=1e-4)
    assert estimate_from_stderr(0.5, None, 100).method is None
    assert estimate_from_stderr(31.4, 0.0, 100).method is None


def test_size_of_repeated_answers_lies_between_questions_and_answers() -> None:
    alike, independent = _repeated([[1.0] * 4, [0.0] * 4] * 50), _repeated([[1.0, 0.0, 0.0, 1.0]] * 99 + [[1.0] * 4])
    assert effective_size(alike) == pytest.approx(100, rel=0.05)
    assert 350 < effective_size(independent) <= 400
    assert effective_size(_repeated([[1.0] * 4] * 20)) == 20
    assert effective_size(_plain([1.0, 0.0, 0.0])) == 3


def test_bootstrap_is_scipys_and_repeatable() -> None:
    values = list(np.random.default_rng(3).beta(2, 5, 60))
    ours = bootstrap(_plain(values), seed=8)
    theirs = stats.bootstrap((values,), np.mean, method="BCa", rng=np.random.default_rng(1)).confidence_interval
    assert ours == pytest.approx((theirs.low, theirs.high), abs=2e-3)
    assert ours == bootstrap(_plain(values), seed=8)
    assert bootstrap(_plain([0.3] * 10)) is None
    assert estimate(_plain([0.3] * 10)).method is None


def test_bootstrap_draws_clusters_as_wholes() -> None:
    values = {index: [float(index // 5 % 2) * 0.9] for index in range(100)}
    together = make_scores(values, {index: index // 5 for index in range(100)})
    apart, wide = bootstrap(make_scores(values)), bootstrap(together)
    assert apart is not None and wide is not None
    assert wide[1] - wide[0] > 1.8 * (apart[1] - apart[0])


def test_many_scores_have_the_normal_interval() -> None:
    values = list(np.random.default_rng(0).random(6000))
    found = estimate(_plain(values))
    assert found.method == "normal"
    assert found.ci_high == pytest.approx(np.mean(values) + 1.95996 * stats.sem(values))


@pytest.mark.parametrize(("answers", "right", "k"), [(5, 2, 1), (5, 2, 3), (5, 0, 4), (5, 5, 5), (6, 1, 6), (7, 3, 4)])
def test_pass_at_k_is_the_share_of_all_choices(answers: int, right: int, k: int) -> None:
    choices = list(combinations(range(answers), k))
    lucky = sum(min(chosen) < right for chosen in choices)
    assert pass_at_k(right, answers, k) == pytest.approx(lucky / len(choices))


def test_pass_at_k_is_not_defined_beyond_the_answers() -> None:
    with pytest.raises(ValueError, match="pass@4 of 1 right among 3"):
        pass_at_k(1, 3, 4)
    assert [list(reported_k(repeats)) for repeats in (1, 2, 3, 8, 10)] == [[], [2], [2, 3], [2, 4, 8], [2, 4, 8, 10]]


@pytest.mark.parametrize(("lost", "won"), [(0, 0), (0, 5), (3, 14), (20, 20), (101, 0)])
def test_mcnemar_is_the_binomial_test(lost: int, won: int) -> None:
    n, smaller = lost + won, min(lost, won)
    by_hand = min(1.0, 2 * sum(math.comb(n, i) for i in range(smaller + 1)) / 2**n)
    assert mcnemar_exact(lost, won) == pytest.approx(by_hand)


def test_bonett_price_by_hand() -> None:
    """7 of 21 lost, 1 won: 2 / 23 - 8 / 23, plus or minus 1.96 sqrt((10 / 23 - (6 / 23)²) / 23)."""
    low, high, stderr = bonett_price(7, 1, 21)
    assert stderr == pytest.approx(0.126273, abs=1e-6)
    assert (low, high) == pytest.approx((-0.50836, -0.01337), abs=2e-5)
    assert bonett_price(0, 0, 1000)[:2] == pytest.approx((-0.0028, 0.0028), abs=1e-4)


@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 100))
def test_bonett_price_is_symmetric_and_holds_the_difference(lost: int, won: int, same: int) -> None:
    n = lost + won + same
    if n == 0:
        return
    low, high, stderr = bonett_price(lost, won, n)
    assert bonett_price(won, lost, n) == pytest.approx((-high, -low, stderr))
    assert low - 1e-9 <= (won - lost) / (n + 2) <= high + 1e-9


@settings(max_examples=25)
@given(st.lists(st.floats(-1, 1).filter(lambda value: abs(value) > 1e-3), min_size=2, max_size=8))
@example([0.734375, -0.609375, -0.83203125, -0.95703125, 0.8671875, 0.98828125, 0.2578125, -0.45138272699357695])
def test_sign_flips_are_all_counted(changes: list[float]) -> None:
    observed = abs(sum(changes))
    signed = [
        sum(s * c for s, c in zip(signs, changes, strict=True)) for signs in product([1, -1], repeat=len(changes))
    ]
    as_extreme = sum(abs(total) >= observed - 1e-9 for total in signed) / len(signed)
    assert sign_flip(np.array(changes)) == pytest.approx(as_extreme)


def test_sign_flip_ignores_what_did_not_change() -> None:
    assert sign_flip(np.zeros(10)) == sign_flip(np.array([0.0, 0.3])) == 1.0
    assert sign_flip(np.array([0.5, 0.1, 0.0, 0.2])) == sign_flip(np.array([0.5, 0.1, 0.2])) == pytest.approx(0.25)


def test_holm_as_r_computes_it() -> None:
    """p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm") in R."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=10))
def test_holm_keeps_the_order_and_lies_between_p_and_bonferroni(p_values: list[float]) -> None:
    adjusted = holm(p_values)
    for p, q in zip(p_values, adjusted, strict=True):
        assert p <= q <= min(1.0, len(p_values) * p) + 1e-12
    ranked = sorted(range(len(p_values)), key=lambda index: p_values[index])
    assert [adjusted[index] for index in ranked] == sorted(adjusted)


def test_mde_is_found_with_the_power_that_was_asked_for() -> None:
    effect = minimum_detectable_effect(0.02, alpha=0.05, power=0.8)
    assert effect == pytest.approx(0.02 * 2.80159, rel=1e-5)
    assert stats.norm.sf(1.95996 - effect / 0.02) == pytest.approx(0.8, abs=1e-5)


def test_right_or_wrong_answers_are_tested_by_their_flips() -> None:
    before, after = _plain([1.0] * 70 + [0.0] * 30), _plain([0.0] * 10 + [1.0] * 60 + [1.0] * 2 + [0.0] * 28)
    found = paired_difference(before, after)
    assert found.value == pytest.approx(-0.08)
    assert found.test == "mcnemar exact"
    assert found.p == pytest.approx(stats.binomtest(2, 12).pvalue)
    assert found.ci_low is not None and found.ci_high is not None and found.ci_low < -0.08 < found.ci_high < 0


@settings(max_examples=20)
@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=3, max_size=30))
def test_exchanging_the_sides_changes_the_sign_alone(values: list[tuple[float, float]]) -> None:
    first, second = (_plain([pair[side] for pair in values]) for side in (0, 1))
    there, back = paired_difference(first, second), paired_difference(second, first)
    assert there.value == pytest.approx(-back.value)
    assert there.p == pytest.approx(back.p, abs=0.03)
    assert there.stderr == pytest.approx(back.stderr)


def test_no_change_at_all() -> None:
    scores = _plain([0.25, 0.5, 0.75] * 20)
    found = paired_difference(scores, scores)
    assert (found.value, found.p, found.mde) == (0.0, 1.0, None)
    assert found.ci_high == pytest.approx(bonett_price(0, 0, 60)[1])
    unbounded = _plain([3.5, 12.0, 7.0])
    assert paired_difference(unbounded, unbounded).ci_low is None


def test_repeats_and_clusters_are_tested_by_signs() -> None:
    before = _repeated([[1.0, 0.0, 1.0]] * 30)
    after = _repeated([[0.0, 0.0, 1.0]] * 15 + [[1.0, 0.0, 1.0]] * 15)
    found = paired_difference(before, after)
    assert found.test == "sign-flip permutation"
    assert found.value == pytest.approx(-1 / 6)
    assert found.p is not None and found.p < 0.001
    assert paired_difference(before, after) == found


def test_only_the_same_questions_can_be_paired() -> None:
    with pytest.raises(ValueError, match="same questions"):
        paired_difference(_plain([1.0, 0.0]), _plain([1.0]))
    first, second = make_scores({"a": [1.0], "b": [0.0]}, {"b": "x"}), make_scores({"c": [1.0], "b": [1.0], "a": [0.0]})
    one, other = shared(first, second)
    assert one.ids == other.ids == ("a", "b")
    assert (one.values.tolist(), other.values.tolist()) == ([1.0, 0.0], [0.0, 1.0])


def test_without_samples_a_difference_is_that_of_two_surveys() -> None:
    found = unpaired_difference((0.7, 0.03), (0.6, 0.04))
    assert found.stderr == pytest.approx(0.05)
    assert found.test == "unpaired z"
    assert found.p == pytest.approx(2 * stats.norm.sf(2.0))
    assert unpaired_difference((0.7, None), (0.6, 0.04)).p is None
    assert unpaired_difference((1.0, 0.0), (0.0, 0.0)).p is None


def test_intervals_of_proportions_cover_what_they_promise() -> None:
    """Exact, by the binomial distribution; docs/compare.md has the table."""
    proportions = np.linspace(0.05, 0.95, 181)
    for n in (20, 100, 2000):
        right = np.arange(n + 1)
        low, high = np.array([wilson(one / n, n) for one in right]).T
        held = (low[:, None] <= proportions) & (proportions <= high[:, None])
        covered = (stats.binom.pmf(right[:, None], n, proportions) * held).sum(axis=0)
        assert 0.945 < covered.mean() < 0.96
        assert covered.min() > 0.91


def test_paired_tests_keep_their_level() -> None:
    """Comparisons under the null: at most 5 % false alarms, with three standard errors of leeway."""
    rng, count = np.random.default_rng(11), 300
    leeway = 3 * math.sqrt(0.05 * 0.95 / count)
    flips = rng.binomial(60, 0.2, count)
    lost = rng.binomial(flips, 0.5)
    exact = np.mean([mcnemar_exact(int(a), int(n - a)) < 0.05 for a, n in zip(lost, flips, strict=True)])
    signs = np.mean([sign_flip(rng.normal(size=8)) < 0.05 for _ in range(count)])
    assert exact <= 0.05 + leeway
    # Of 128 pairs of signs, the 6 most extreme ones have a p below 0.05.
    assert signs == pytest.approx(6 / 128, abs=leeway)
