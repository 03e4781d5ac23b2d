"""Clouds of Docker hosts, on which SkyPilot launches machines in tests."""
