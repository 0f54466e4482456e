"""Topics and their QoS, image transport, message conversions and the DDS profile."""
