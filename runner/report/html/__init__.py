"""A job as one HTML file that opens from disk: no network, no inline handler, every word of a guest's escaped.

Python makes records (`charts`, `heatmap`, `diff`, `folds`), templates make markup: no module here holds a tag, and every
value that a template prints passes `page.fit_to_show`.
"""
