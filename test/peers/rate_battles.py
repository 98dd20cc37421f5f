"""Bradley-Terry ratings of a battle file by SciPy's minimiser of the negative log-likelihood, which knows its gradient and Hessian.

The first model is held at 0. A tie counts half in either direction, as FastChat counts it. The last line that it prints is
{model: rating}: 400 points a factor of ten, their mean 1000.
"""

import json
import sys

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit

with open(json.load(sys.stdin)["battles"], encoding="utf-8") as file:
    battles = [battle for battle in json.load(file) if battle["anony"]]
models = sorted({battle[side] for battle in battles for side in ("model_a", "model_b")})
place = {model: index for index, model in enumerate(models)}

signs = np.zeros((len(battles), len(models)))
won = np.zeros(len(battles))
for index, battle in enumerate(battles):
    signs[index, place[battle["model_a"]]] = 1
    signs[index, place[battle["model_b"]]] = -1
    won[index] = {"model_a": 1.0, "model_b": 0.0}.get(battle["winner"], 0.5)
signs = signs[:, 1:]


def loss(strengths):
    logits = signs @ strengths
    return np.sum(np.logaddexp(0, logits) - won * logits)


def gradient(strengths):
    return signs.T @ (expit(signs @ strengths) - won)


def hessian(strengths):
    chance = expit(signs @ strengths)
    return signs.T @ (signs * (chance * (1 - chance))[:, None])


found = minimize(loss, np.zeros(len(models) - 1), jac=gradient, hess=hessian, method="trust-exact", options={"gtol": 1e-9})
ratings = np.concatenate([[0.0], found.x]) * 400 / np.log(10)
print(json.dumps(dict(zip(models, (ratings - ratings.mean() + 1000).tolist(), strict=True))))
