import itertools
import math

import numpy as np
import pytest

from linbench.compare.change import has_changed
from linbench.statistics.decision import LOOKS, Answer, judge, judge_all, worth_confirming
from linbench.statistics.paired import (
    ALPHA,
    Paired,
    has_settled,
    interval,
    minimum_detectable_effect,
    paired,
    sign_flip,
)

CALM, BUSY = 0.01, 0.03


def processes(source, count, effect=0.0, noise=CALM, tails=None):
    """Return processes with a relative effect and noise; each has an additional error from its rounds."""
    errors = source.uniform(0.001, 0.006, count)
    shape = source.standard_normal(count) if tails is None else tails(source, count)
    ratios = math.log1p(effect) + noise * shape + errors * source.standard_normal(count)
    return [
        Paired(float(ratio), float(1 / (error**2 + 1e-4)), 20)
        for ratio, error in zip(ratios, errors, strict=True)
    ]


def heavy(source, count):
    return source.standard_t(4, count) / math.sqrt(2)


def skewed(source, count):
    return (source.gamma(8, 1, count) - 8) / math.sqrt(8)


def sequential(source, **noise):
    """Return the decision at which a comparison with looks at 10, 14, 20 and 28 processes stops."""
    pairs = processes(source, LOOKS[-1], **noise)
    for look in LOOKS:
        decision = judge(pairs[:look])
        if decision.answer is not Answer.UNDECIDED:
            return decision
    return decision


def test_the_weight_of_a_process_is_from_the_error_of_its_median_and_one_percent():
    # Deviations from 0.02: 0.01 twice, 0 once; MAD 0.01, SE = 1.2533 * 1.4826 * 0.01 / sqrt(3).
    pair = paired([0.01, 0.02, 0.03])
    assert (pair.log_ratio, pair.rounds) == (0.02, 3)
    assert pair.weight == pytest.approx(1 / (0.010728**2 + 0.01**2), rel=1e-3)
    assert paired([0.5]).weight == pytest.approx(1e4)


@pytest.mark.parametrize("rounds", [[], [0.0, math.nan], [math.inf]])
def test_invalid_log_ratios_are_rejected(rounds):
    with pytest.raises(ValueError, match="finite"):
        paired(rounds)


def test_a_process_has_settled_after_twelve_rounds_with_a_small_standard_error():
    # SE of n rounds at +-d is 1.2533 * 1.4826 * d / sqrt(n): with 12 rounds 0.3% is d = 0.56%.
    assert has_settled([0.0055, -0.0055] * 6)
    assert not has_settled([0.0057, -0.0057] * 6)
    assert not has_settled([0.0] * 11)
    assert has_settled([0.0057, -0.0057] * 7)


@pytest.mark.parametrize("count", [1, 2, 5, 9, 10])
def test_the_sign_flip_test_counts_every_pattern(count):
    source = np.random.default_rng(count)
    pairs = processes(source, count, effect=0.004)
    terms = [pair.weight * pair.log_ratio for pair in pairs]
    sums = [abs(sum(s * t for s, t in zip(signs, terms, strict=True))) for signs in patterns(count)]
    least = sums[0] * (1 - 1e-9)
    assert sign_flip(pairs) == sum(value >= least for value in sums) / 2**count


def patterns(count):
    return itertools.product((1, -1), repeat=count)


def test_the_sign_flip_test_has_known_values():
    equal = [Paired(0.01, 1.0, 12)] * 10
    assert sign_flip(equal) == 2 / 2**10
    assert sign_flip([Paired(0.0, 1.0, 12)] * 10) == 1.0
    # Nine of one sign, one of the other: patterns with at most one opposite sign are at least as large.
    assert sign_flip([*equal[:9], Paired(-0.01, 1.0, 12)]) == 2 * 11 / 2**10
    # The weight of the opposite one counts: here it outweighs the other nine.
    assert sign_flip([*equal[:9], Paired(-0.01, 9.0, 12)]) == 1.0
    assert sign_flip([Paired(0.01, 1.0, 12)] * 28) == 2 / 2**28
    with pytest.raises(ValueError, match="1 to 40"):
        sign_flip([])


def test_p_is_uniform_for_identical_code():
    source = np.random.default_rng(0)
    for tails in (None, heavy):
        p = np.array([sign_flip(processes(source, 14, noise=BUSY, tails=tails)) for _ in range(2000)])
        for level in (0.05, 0.2, 0.5):
            assert abs((p <= level).mean() - level) < 4 * math.sqrt(level * (1 - level) / 2000)


def test_equal_weights_give_students_interval():
    values = [0.01, 0.03, 0.02, 0.06]
    effect, low, high = interval([Paired(value, 5.0, 12) for value in values])
    reach = 3.182446 * np.std(values, ddof=1) / 2  # Student's 97.5% with three degrees of freedom
    assert (effect, low, high) == pytest.approx(
        (math.expm1(0.03), math.expm1(0.03 - reach), math.expm1(0.03 + reach)), rel=1e-6
    )
    with pytest.raises(ValueError, match="at least two processes"):
        interval([Paired(0.01, 1.0, 12)])


@pytest.mark.parametrize("count", [8, 10, 28])
@pytest.mark.parametrize("tails", [None, heavy, skewed])
@pytest.mark.parametrize("noise", [CALM, BUSY])
def test_the_interval_has_its_nominal_coverage(count, tails, noise):
    source = np.random.default_rng(2)
    hits = 0
    for _ in range(2000):
        _, low, high = interval(processes(source, count, 0.02, noise, tails))
        hits += low <= 0.02 <= high
    assert 0.92 <= hits / 2000 <= 0.98


@pytest.mark.parametrize("noise", [CALM, BUSY])
@pytest.mark.parametrize("count", LOOKS)
def test_the_minimum_detectable_effect_is_detected_in_most_cases(count, noise):
    source = np.random.default_rng(3)
    typical = float(
        np.median([minimum_detectable_effect(processes(source, count, 0, noise)) for _ in range(200)])
    )
    answers = [judge(processes(source, count, typical, noise)).answer for _ in range(200)]
    # It would be 95% if the noise were known, but the noise is estimated from the same few processes.
    assert 0.85 <= answers.count(Answer.SLOWER) / 200 <= 0.995
    half = [judge(processes(source, count, typical / 2, noise)).answer for _ in range(200)]
    assert half.count(Answer.SLOWER) / 200 < 0.6


def test_too_few_processes_have_no_minimum_detectable_effect():
    eight = processes(np.random.default_rng(4), 8, effect=0.5)
    assert minimum_detectable_effect(eight) is None
    assert judge(eight).answer is Answer.UNDECIDED
    assert minimum_detectable_effect(eight, alpha=0.01) is not None


def test_the_false_positive_rate_on_identical_code_is_one_percent():
    source = np.random.default_rng(5)
    for noise in (CALM, BUSY):
        answers = [sequential(source, noise=noise).answer for _ in range(1000)]
        wrong = sum(answer in (Answer.SLOWER, Answer.FASTER) for answer in answers)
        assert wrong <= 19  # 1% of 1000 and three standard deviations
    assert answers.count(Answer.UNDECIDED) > 100  # noise leaves many cases undecided
    calm = [sequential(source, noise=CALM).answer for _ in range(200)]
    assert calm.count(Answer.SAME) > 190


@pytest.mark.parametrize(("noise", "effect"), [(CALM, 0.02), (BUSY, 0.04)])
def test_real_differences_are_detected(noise, effect):
    source = np.random.default_rng(6)
    slower = [sequential(source, effect=effect, noise=noise).answer for _ in range(200)]
    faster = [sequential(source, effect=-effect, noise=noise).answer for _ in range(200)]
    assert slower.count(Answer.SLOWER) >= 190
    assert faster.count(Answer.FASTER) >= 190


def test_a_difference_below_one_percent_is_not_called_slower():
    exact = [Paired(math.log1p(0.009) + 1e-5 * i, 1e4, 12) for i in range(10)]
    assert judge(exact).p <= ALPHA
    assert judge(exact).answer is Answer.SAME
    beyond = [Paired(math.log1p(0.011), 1e4, 12)] * 10
    assert judge(beyond).answer is Answer.SLOWER
    assert judge([Paired(-pair.log_ratio, 1e4, 12) for pair in beyond]).answer is Answer.FASTER


def test_seven_processes_decide_nothing():
    pairs = [Paired(0.0001 * i, 1e4, 12) for i in range(8)]
    assert judge(pairs[:7]).answer is Answer.UNDECIDED
    assert judge(pairs).answer is Answer.SAME


def test_same_needs_both_ends_within_one_and_a_half_percent():
    for sign in (1, -1):
        near = [Paired(sign * (0.012 + 0.001 * i), 1e4, 12) for i in (-1, 1)] * 4
        assert judge(near).answer is Answer.SAME
        assert judge([Paired(p.log_ratio + sign * 0.003, 1e4, 12) for p in near]).answer is Answer.UNDECIDED


def test_a_case_is_worth_confirming_by_its_p_or_its_effect():
    alternating = [Paired(0.01 * (-1) ** i, 1e4, 12) for i in range(8)]
    assert not worth_confirming(alternating)
    small = [Paired(0.002, 1e4, 12)] * 7 + [Paired(-0.0001, 1e4, 12)]
    assert sign_flip(small) == 4 / 2**8
    assert worth_confirming(small)
    noisy = [Paired(value, 1e4, 12) for value in (0.1, -0.06) * 4]
    assert sign_flip(noisy) > 0.1
    assert worth_confirming(noisy)


def test_a_suite_has_few_false_positives_and_misses_no_difference():
    source = np.random.default_rng(7)
    effects = [0.02] * 5 + [-0.03] * 5 + [0.0] * 290
    suspects = [
        effect for effect in effects if worth_confirming(processes(source, 8, effect=effect, noise=0.006))
    ]
    assert len(suspects) < 60
    assert sum(effect != 0 for effect in suspects) == 10
    decisions = judge_all([processes(source, 24, effect=effect, noise=0.006) for effect in suspects])
    for effect, decision in zip(suspects, decisions, strict=True):
        expected = {0.02: Answer.SLOWER, -0.03: Answer.FASTER}.get(effect, Answer.SAME)
        assert decision.answer is expected


def with_p(opposite):
    """Return 24 processes of equal weight, this many with the opposite sign."""
    return [Paired(-0.04 if i < opposite else 0.04, 1e4, 12) for i in range(24)]


def test_equal_weights_give_the_p_of_the_sign_test():
    p = [sign_flip(with_p(n)) for n in (5, 6, 7)]
    assert p == pytest.approx([0.0066, 0.0227, 0.0639], abs=1e-4)


@pytest.mark.parametrize(
    ("opposites", "answers"),
    [
        ((6,), ["slower"]),  # .0227 <= .05
        ((6, 7, 7), ["undecided"] * 3),  # .0227 > .05 / 3, and .0639 > .05
        ((5, 5, 6), ["slower"] * 3),  # .0227 <= .05 * 3 / 3
        ((7, 6, 5), ["undecided", "slower", "slower"]),  # .0227 <= .05 * 2 / 3
        ((), []),
    ],
)
def test_several_cases_share_the_false_discovery_rate(opposites, answers):
    assert [decision.answer for decision in judge_all([with_p(n) for n in opposites])] == answers


@pytest.mark.parametrize(
    ("a", "b", "rounding", "is_changed"),
    [
        (1024.0, 1024.0, 0.0, False),
        (1024.0, 1536.0, 0.0, True),
        (1e-7, 1.005e-7, 0.01, False),
        (1.0, 1.01005, 0.01, False),
        (1.01005, 1.0, 0.01, False),
        (1e-7, 1.02e-7, 0.01, True),
        (1.02e-7, 1e-7, 0.01, True),
        (0.0, 0.0, 0.01, False),
        (0.0, 1e-9, 0.01, True),
        (1.0, math.nan, 0.01, True),
        (math.nan, math.nan, 0.01, False),
        (1.0, math.inf, 0.01, True),
        (math.inf, math.inf, 0.01, False),
    ],
)
def test_a_quantity_that_does_not_vary_changed_or_not(a, b, rounding, is_changed):
    assert has_changed(a, b, rounding) is is_changed
