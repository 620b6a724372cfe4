"""docs/limits.md names every limit of the MQTT gateway."""

from pathlib import Path

from rimward.edge.gateways.mqtt.config import MqttConfig, RateConfig
from rimward.edge.gateways.overload import OverloadConfig

PAGE = Path(__file__).parents[3] / "docs" / "limits.md"


def test_every_key_of_the_configuration_is_on_the_page_of_limits() -> None:
    keys = {line.split("`")[1] for line in PAGE.read_text().splitlines() if line.startswith("| `")}
    expected = {name for name in MqttConfig.__struct_fields__ if name not in {"rates", "overload"}}
    expected |= {f"rates.{name}" for name in RateConfig.__struct_fields__}
    expected |= {f"overload.{name}" for name in OverloadConfig.__struct_fields__}
    assert keys == expected
