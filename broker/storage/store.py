"""Typed collections over an engine: transactions that read, then write all or nothing.

`Store` keeps decoded records of each partition together with the revision they were read at, so a read from
memory is as true as a read from the engine. `Transaction` is what handlers are given.
"""
