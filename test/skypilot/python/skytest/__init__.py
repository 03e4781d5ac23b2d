"""Clouds made of Docker hosts: what a SkyPilot of the tests launches its machines on."""
