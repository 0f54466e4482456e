"""Topics, QoS, transport and message conversions."""
