"""Checks on a submission before it is measured, each by name.

A report about its text comes from a parser inside a sandbox; components are called there on probe inputs. What the text
says is advice except where it is not Python, or holds what the task forbids by name: a file that hides something from a
parser still runs without network, without labels and without a clock that it could touch.
"""
