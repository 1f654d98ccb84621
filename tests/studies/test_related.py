"""Statements of related work, measured: against whole Jacobians by automatic differentiation."""

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from lib import jacobian, results
from lib.model import Ensemble
from lib.protocol import Protocol
from lib.store import Store
from lib.studies import related


def test_correlations_and_contraction_are_those_of_whole_jacobians(tmp_path):
    protocol = Protocol(training_set="digits", dims=(2,), seeds=(0,), epochs=1, points=12)
    e = Ensemble.initial(protocol.dims, 0)
    row = related.predictors([e], protocol, Store(tmp_path), points=12).iloc[0]
    net, x = e.member(2).double(), torch.cat(list(results.blocks(protocol, "test")))
    whole = jacobian.reference(net, x)[0]
    error = ((net(x)[1] - x) ** 2).sum(1).numpy()
    lam = np.sort(np.abs(np.linalg.eigvals(whole.numpy())), axis=1)[:, -2:]
    trace = whole.diagonal(dim1=1, dim2=2).sum(1).numpy()
    assert row.trace == pytest.approx(spearmanr(error, trace).statistic)
    assert row["product"] == pytest.approx(spearmanr(error, np.log(lam).sum(1)).statistic)
    assert row.contracting == np.mean(lam.max(1) < 1) and row.points == 12
