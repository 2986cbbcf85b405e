"""Grading: what a submission is worth, from bytes that nobody trusts.

First the file's text is parsed and its components are probed, in a sandbox that is thrown away. Then rounds: one baseline
sample and m samples of every waiting candidate, all on the same data, made from a seed that did not exist
before; each sample in a fresh container on the same CPU, on the host's clock, with the labels on the host. The round is
the unit of the statistics; the verdict is taken when the interval excludes the target.
"""
