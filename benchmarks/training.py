"""How long does a training step take, beside snnTorch's and Norse's on the same network, batch and number of threads?

Every contender runs in a process of its own and is timed in turns with snnport: A B A B; the shortest time of each counts. The
neurons follow the rule of the peer; the spikes of the hidden layer before the first step show whether both have the same
network.

Usage: python benchmarks/training.py [--rows leaky-mlp,lsnn-rows,lsnn-pixels] [--peers ...] [--threads N] [--rounds N]
[--seconds S]
"""

from __future__ import annotations

import argparse
import sys

from peers.session import Contender, Missing

ROWS = ("leaky-mlp", "lsnn-rows", "lsnn-pixels")
PEERS = (
    ("snnTorch", "train_snntorch.py", "snntorch", ROWS),
    ("Norse, LIF", "train_norse.py", "norse-lif", ROWS),
    ("Norse, LSNN", "train_norse.py", "norse-lsnn", ROWS[1:]),
)
GOAL = 1.5


def compare(row: str, script: str, rule: str, options: argparse.Namespace) -> tuple[float, float, int, int]:
    """(own seconds, the peer's, own spikes, the peer's) of one training step."""
    request = {"case": row, "threads": options.threads}
    with (
        Contender("train_snnport.py", {**request, "rule": rule}) as own,
        Contender(script, {**request, "rule": rule.removeprefix("norse-")}) as peer,
    ):
        pairs = [(own.run(options.seconds), peer.run(options.seconds)) for _ in range(options.rounds)]
    mine, theirs = (min((pair[side] for pair in pairs), key=lambda m: m.wall_s) for side in (0, 1))
    return mine.wall_s, theirs.wall_s, mine.spikes["hidden"], theirs.spikes["hidden"]


def main() -> int:
    """Print the table; 1 if a ratio is below the goal."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", default=",".join(ROWS))
    parser.add_argument("--peers", default="snntorch,norse-lif,norse-lsnn")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4.0)
    options = parser.parse_args()
    print("| network | peer | peer, ms a step | snnport, ms a step | ratio | hidden spikes, peer | snnport |")
    print("|---|---|---|---|---|---|---|")
    missed = 0
    for row in options.rows.split(","):
        for title, script, rule, rows in PEERS:
            if row not in rows or rule not in options.peers.split(","):
                continue
            try:
                mine, theirs, own_spikes, peer_spikes = compare(row, script, rule, options)
            except Missing as error:
                print(f"| {row} | {title} | cannot run: {error} | | | | |")
                missed += 1
                continue
            missed += theirs / mine < GOAL
            numbers = f"{1e3 * theirs:.1f} | {1e3 * mine:.1f} | {theirs / mine:.2f} | {peer_spikes} | {own_spikes}"
            print(f"| {row} | {title} | {numbers} |", flush=True)
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
