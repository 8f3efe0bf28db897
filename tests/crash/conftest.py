# SPDX-License-Identifier: ISC
"""The crash tests use the nodes and queues of the integration tests."""
import importlib.util
import sys
from pathlib import Path

INTEGRATION = Path(__file__).resolve().parents[1] / "integration"
sys.path.insert(0, str(INTEGRATION))
spec = importlib.util.spec_from_file_location("integration_fixtures",
                                              INTEGRATION / "conftest.py")
fixtures = importlib.util.module_from_spec(spec)
spec.loader.exec_module(fixtures)
make_node, node = fixtures.make_node, fixtures.node
make_queue, queue = fixtures.make_queue, fixtures.queue
held_ports, memory_path = fixtures.held_ports, fixtures.memory_path
