"""The egress proxy of a program in the sandbox that speaks the Messages API and can be told the endpoint's address.

The container stays without a network. A forwarder inside (`sandbox/inside/forwarder.py`) listens on its loopback; a
request goes through PID 1 and the attached stream to the *gateway* here, which authorizes it, checks the limits,
records it, adds the key and asks the endpoint. The key never enters the container, and nothing that comes out of it is
believed.
"""
