"""How property tests run here: the same examples every time, however slow the machine."""

from hypothesis import HealthCheck, settings

steady = settings(deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
