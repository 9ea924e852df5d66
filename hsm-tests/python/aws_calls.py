"""AWS's command line, called as often as it takes with one start: a JSON list of arguments in each line of
standard input; for each, a line with its exit code and what it printed."""

import contextlib
import io
import json
import sys

from awscli.clidriver import create_clidriver

driver = create_clidriver()
for line in sys.stdin:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        code = driver.main(json.loads(line))
    print(json.dumps([code, printed.getvalue()]), flush=True)
