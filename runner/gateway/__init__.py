"""A program in the sandbox plays: any that speaks the Messages API and lets itself be told the endpoint's address.

The container stays without a network. A forwarder inside (`sandbox/inside/forwarder.py`) listens on its loopback; a request
goes through PID 1 and the attached stream to the *gateway* here, which judges it, adds the key, looks at the limits, keeps
the record and asks the endpoint. The key never enters the container, and nothing that comes out of it is believed.
"""
