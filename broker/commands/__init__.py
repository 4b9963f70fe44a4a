"""The command line: one file per command, each with `add_arguments`, `run`, and help that teaches by examples.

A command reads settings, opens the broker (`app.open_broker`) where it needs the store, and prints: tables and colour
in a terminal, plain text in a pipe, and what a shell can eat where that is the point. It answers an exit status:
0 done, 1 refused or found wrong, 2 used wrongly.
"""
