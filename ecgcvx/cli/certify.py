"""`ecgcvx certify`: prove how far a fitted model is from the global optimum."""

import argparse
import json
from typing import Any

from ecgcvx.cli.arguments import JSON_HELP, add_model, add_record, load_model, read_record
from ecgcvx.cli.terminal import progress_bar, show

DESCRIPTION = """\
Recompute from a model file and the record that it was trained on how far the network is from the global optimum, with
code that shares nothing with the training:

    primal           P of the network on the training windows
    proved gap       (P - D)/P with a lower bound D on P that holds for every network of that kind, of any width,
                     proved by branch and bound over all directions w, rounding included
    searched gap     what it would be if a search from random starts had found the largest price; not a proof

The bound improves for as long as it is given; Ctrl-C returns the best so far.

A gap that needs no bound is recomputed as it is: of a polynomial network by eigenvalues, of a gated one over the
gates of its neurons."""
EXAMPLES = """\
examples:
  ecgcvx certify out/208 data/mitdb208/208
  ecgcvx certify out/208 data/mitdb208/208 --seconds 300 --json"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    add_model(parser)
    add_record(parser)
    parser.add_argument("--train-fraction", type=float, default=0.8, metavar="F", help="as in the fit (default 0.8)")
    parser.add_argument("--seconds", type=float, default=60.0, metavar="S", help="of the proof at most (default 60)")
    parser.add_argument("--starts", type=int, default=100, metavar="N", help="of the search (default 100)")
    parser.add_argument("--json", action="store_true", help=JSON_HELP)


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    from ecgcvx.certificates import certify_searched
    from ecgcvx.errors import InputError
    from ecgcvx.interruption import check, keeping, raising, stoppable, wanted
    from ecgcvx.kinds.registry import kind_class
    from ecgcvx.proof import certificate_json, proof_json, proof_words, prove, searched_words

    if not options.seconds > 0:
        raise InputError(f"seconds = {options.seconds:g}: give a positive number")
    forecaster = load_model(options)
    recording = read_record(options, forecaster)
    train = forecaster.training_windows(recording, options.train_fraction)
    kind, network = kind_class(forecaster.kind), forecaster.network
    results: list[dict[str, Any]] = []
    lines = [f"{recording.name}, lead {recording.lead}: {len(train):,} training windows"]
    with keeping(), progress_bar() as progress:
        with raising():
            exact = kind.certify(network, train.X, train.y, forecaster.beta)
            programs = kind.programs(network, train.X, train.y, forecaster.beta)
        if exact is not None:
            results.append(certificate_json(exact))
            lines += [f"beta = {forecaster.beta:.3g}, {network.neurons} neurons", str(exact)]
        for one in programs:
            progress(f"{one.name}search from {options.starts} starts", None)
            with stoppable() if results else raising():
                check()
                searched = certify_searched(one.network, one.X, one.y, one.beta, options.starts, 0)
            if wanted():
                lines.append(f"interrupted before {one.name or 'the search'}")
                break
            with stoppable() if results else raising() as proving:
                proof = prove(one, options.seconds, progress)
            if proving is not None and proving.stopped:  # before there was a bound
                lines.append(f"interrupted before the proof of {one.name}")
                break
            results.append(proof_json(proof, searched))
            lines += [
                f"{one.name}beta = {one.beta:.3g}, {one.network.neurons} neurons", proof_words(proof),
                searched_words(searched),
            ]  # fmt: skip
    if options.json:
        print(json.dumps(results[0] if len(results) == 1 else {"stages": results}, allow_nan=False))
    else:
        show(*lines)
    return 0
