"""Optuna on the file of `groundup search --study`.

read FILE WHOLE.json    every trial there is what `search --json` says, and the best one is the first of its ranking
write FILE STOP         trials of Optuna's own into our study, and into one of its own, until there is a file STOP
copy FILE OTHER         our study into another file
"""

import json
import math
import os
import sys
import time

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

NAME = "groundup-search"
optuna.logging.set_verbosity(optuna.logging.WARNING)


def storage(path):
    return JournalStorage(JournalFileBackend(path))


def same(got, want, what):
    if got != want:
        sys.exit(f"{what}: {got!r}, not {want!r}")


def read(path, whole):
    study = optuna.load_study(study_name=NAME, storage=storage(path))
    whole = json.load(open(whole))
    same(study.direction, optuna.study.StudyDirection.MAXIMIZE, "direction")
    same(study.user_attrs["groundup"]["settings"]["seed"], str(whole["seed"]), "seed")
    ours = {
        trial.user_attrs["groundup"]["number"]: trial for trial in study.trials if "groundup" in trial.user_attrs
    }
    same(sorted(ours), [trial["number"] for trial in whole["trials"]], "numbers")
    for want in whole["trials"]:
        got = ours[want["number"]]
        same(got.state, optuna.trial.TrialState.COMPLETE, "state")
        same(got.value, want["score"], "value")
        same(got.params, {"lr": want["learning_rate"], "weight_decay": want["weight_decay"]}, "params")
        attributes = {name: want[name] for name in ("number", "round", "seed", "train_accuracy")}
        same(got.user_attrs, {"groundup": attributes}, "user attributes")
        same(got.intermediate_values, dict(enumerate(want["validation_accuracy"], 1)), "intermediate values")
        for name, of in (("lr", "learning_rate"), ("weight_decay", "weight_decay")):
            low, high = whole["ranges"][want["round"]][of]
            same(got.distributions[name], optuna.distributions.FloatDistribution(low, high, log=True), "distribution")
        same(got.datetime_start <= got.datetime_complete, True, "in order of time")
        got._validate()
    # Of equals, Optuna takes the one that ended first.
    same(study.best_value, ours[whole["ranking"][0]].value, "best value")
    same(study.best_trial.value, whole["trials"][whole["ranking"][0]]["score"], "best trial")
    print(f"Optuna {optuna.__version__} read {len(ours)} of our trials, and {len(study.trials) - len(ours)} others")


def write(path, stop):
    # That the name is taken, and for another direction, is no matter to Optuna.
    ours = optuna.create_study(study_name=NAME, storage=storage(path), load_if_exists=True)
    own = optuna.create_study(study_name="another \ud800", storage=storage(path))
    count, end = 0, time.monotonic() + 60
    while not os.path.exists(stop) and time.monotonic() < end:
        for study in (ours, own):
            trial = study.ask()
            trial.suggest_float("lr", 1e-6, 1e-2, log=True)
            trial.suggest_float("weight_decay", 1e-8, 1e-4, log=True)
            # Python's JSON has these.
            for step, value in enumerate((0.0, math.nan, math.inf, -math.inf), 1):
                trial.report(value, step)
            trial.set_user_attr("mine", math.nan)
            trial.set_user_attr("number", count)
            study.tell(trial, 0.0)
        ours.add_trial(optuna.trial.create_trial(value=0.0, user_attrs={"mine": math.inf, "number": count}))
        count += 1
    same(len(own.trials), count, "trials of its own")
    same(sum("mine" in trial.user_attrs for trial in ours.trials), 2 * count, "trials of its own in ours")


def copy(path, other):
    optuna.copy_study(
        from_study_name=NAME, from_storage=storage(path), to_storage=storage(other), to_study_name=NAME
    )


if __name__ == "__main__":
    {"read": read, "write": write, "copy": copy}[sys.argv[1]](*sys.argv[2:])
