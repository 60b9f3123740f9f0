"""torchrun, as far as the tests need it: options, then -m MODULE and its arguments."""

import os
import runpy
import sys

options = sys.argv[1 : sys.argv.index("-m")]
module, *arguments = sys.argv[sys.argv.index("-m") + 1 :]
os.environ["FAKE_TORCHRUN"] = " ".join(options)
sys.argv = [module, *arguments]
runpy.run_module(module, run_name="__main__", alter_sys=True)
