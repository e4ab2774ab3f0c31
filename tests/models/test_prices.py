import pandas as pd
import pytest

from slm_orchestration.models.prices import read_prices, usd_per_second

PRICES = pd.DataFrame({"device": ["cpu", "gpu"], "threads": [2.0, None], "usd_per_hour": [7.2, 3.6]})


def test_a_whole_device_has_one_price_and_an_unknown_one_is_named():
    assert usd_per_second(PRICES, "gpu", threads=64) == pytest.approx(0.001)
    with pytest.raises(ValueError, match="no price for the device 'tpu'"):
        usd_per_second(PRICES, "tpu", threads=1)


def test_a_price_table_says_what_is_wrong_with_it(tmp_path):
    path = tmp_path / "prices.csv"
    path.write_text("device,usd_per_hour\ncpu,1\n")
    with pytest.raises(ValueError, match="expected device, threads, usd_per_hour, as_of, source, note"):
        read_prices(path)
