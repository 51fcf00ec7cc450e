"""How much IrisSession costs, and how fast it is, beside plain requests and its peers.

    python -m benchmarks

Each figure is a ratio: both sides do the same work in one run, taking turns, and what counts is the
median of many rounds. Absolute times are shown too; they tell of the machine.
"""
