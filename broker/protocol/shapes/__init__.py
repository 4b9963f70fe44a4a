"""Generated request and result structs, one module per service; never edited, checked fresh.

`scripts/generate-shapes` writes them. A field is the snake_case of its wire name, and msgspec's encode name is
the wire name. Lists are tuples, maps are dicts, blobs are bytes, timestamps are seconds since 1970.
"""
