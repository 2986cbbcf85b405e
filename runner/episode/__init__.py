"""The agent at work in its sandbox.

The loop asks the agent for a turn, runs its calls in the container one after the other, and hands back what they said.
The agent's tools act only in its workspace: every call is a frame to PID 1 in there. An episode ends when the agent
submits, says nothing more, reaches a limit, or has ruined its sandbox; a fault of ours is an exception and ends the run.
"""
