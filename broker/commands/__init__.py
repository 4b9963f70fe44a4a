"""The command line: one file per command, each with `add_arguments`, `run`, and a help text with examples.

A command reads settings, opens the broker (`app.open_broker`) where it needs the store, and prints: tables and colour
in a terminal, plain text in a pipe, shell commands where they are to be evaluated. `run` returns the exit status:
0 done, 1 refused or a check failed, 2 wrong usage or settings.
"""
