import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from keensight.assess.intervals import wilson
from keensight.errors import DataError

shares = st.integers(1, 100_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@given(shares, st.floats(0.5, 0.999))
def test_equals_scipy(share: tuple[int, int], level: float) -> None:
    successes, n = share
    expected = binomtest(successes, n).proportion_ci(level, method="wilson")
    found = wilson(successes, n, level)
    assert found.low == pytest.approx(expected.low, abs=1e-9)
    assert found.high == pytest.approx(expected.high, abs=1e-9)


@given(shares)
def test_holds_its_value_within_0_and_1(share: tuple[int, int]) -> None:
    found = wilson(*share)
    assert 0 <= found.low <= found.value <= found.high <= 1
    assert found.low < found.high


def test_the_textbook_case() -> None:
    # Agresti and Coull 1998: 0 of 10 gives 0 to 0.278, where the Wald interval has no width.
    found = wilson(0, 10)
    assert (found.value, found.low) == (0.0, 0.0)
    assert found.high == pytest.approx(0.2775, abs=1e-4)
    assert wilson(10, 10).high == 1.0


def test_narrows_with_n_and_widens_with_the_level() -> None:
    assert wilson(90, 100).high - wilson(90, 100).low > wilson(900, 1000).high - wilson(900, 1000).low
    assert wilson(90, 100, 0.99).low < wilson(90, 100, 0.95).low


@pytest.mark.parametrize(("successes", "n", "level"), [(0, 0, 0.95), (-1, 5, 0.95), (6, 5, 0.95), (1, 5, 1.0)])
def test_refuses_what_is_no_share(successes: int, n: int, level: float) -> None:
    with pytest.raises(DataError) as caught:
        wilson(successes, n, level)
    assert caught.value.hint
