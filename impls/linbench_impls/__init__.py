"""The operators and implementations that come with linbench; importing it registers every file in it."""

import importlib
import pkgutil

for _module in pkgutil.walk_packages(__path__, f"{__name__}."):
    importlib.import_module(_module.name)
