"""The cost and speed of IrisSession beside plain requests and other libraries.

    python -m benchmarks

Each figure is a ratio: our median divided by theirs. Both sides do the same work in the same run,
in turns. Absolute times depend on the machine.
"""
