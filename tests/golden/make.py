#!/usr/bin/env python3
"""Makes all golden values of ops and modules again: ops_*.safetensors and modules.safetensors.

Needs torch and NumPy; made with torch 1.13. Newer versions, up to 2.15, give the same operands and
results that differ by f64 rounding alone. A new op gets a case in one of the modules below (or in a
module of its own) and a line in the table of golden_ops_*.cc; golden_test.cc fails while either
lacks. golden.py says what a case is. One topic alone: make.py ops_products.
"""

import importlib
import sys

TOPICS = ("ops_pointwise", "ops_binary", "ops_reduction", "ops_shaping", "ops_products",
          "ops_network", "ops_losses", "ops_llama", "ops_extreme", "modules")

for topic in sys.argv[1:] or TOPICS:
    importlib.import_module(topic)
