"""Says which interpreter this really is, whatever shim started it."""
import json
import sys
import sysconfig

try:
    import dill
    version, why = dill.__version__, ""
except BaseException as error:
    version, why = "", "%s: %s" % (type(error).__name__, error)
print("\n" + json.dumps({
    "path": sys.executable, "version": "%d.%d.%d" % sys.version_info[:3], "dill": version, "why": why,
    "platform": sysconfig.get_platform(),
}))
