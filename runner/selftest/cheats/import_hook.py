# id = "import-hook"
# class = "leak"
# task = "slow_nbody"
# base = "baseline"
# tries = "installs an import hook for whatever is imported later"
# caught_by = ["too_slow"]

import sys


class Hook:
    def find_spec(self, name, path=None, target=None):
        sys.modules.pop("numpy", None)


sys.meta_path.insert(0, Hook())
