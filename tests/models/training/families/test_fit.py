"""The families' loop: what learns, at which rate, and in what state the network is left."""

import torch
from torch import nn

from regard.models.training.families.fit import fit, shuffled


def test_batches_are_full_and_hold_each_index_once():
    batches = list(shuffled(10, 3, torch.Generator().manual_seed(0)))
    assert [len(batch) for batch in batches] == [3, 3, 3]
    assert len(torch.cat(batches).unique()) == 9


def test_fits_a_line():
    torch.manual_seed(0)
    network, x = nn.Linear(1, 1), torch.linspace(-1, 1, 32)[:, None]
    fit(
        network,
        lambda x, y: (network(x) - y).square().mean(),
        lambda: [(x, 3 * x + 1)],
        epochs=300,
        learning_rate=0.1,
    )
    assert abs(network.weight.item() - 3) < 0.05
    assert abs(network.bias.item() - 1) < 0.05
    assert not network.training


def test_policies_learn_slowly():
    """Adam's first step is the rate itself, whatever the gradient."""
    network = nn.ModuleDict({"sees": nn.Linear(1, 1), "policy": nn.Linear(1, 1)})
    before = {name: value.clone() for name, value in network.state_dict().items()}

    def loss(x: torch.Tensor) -> torch.Tensor:
        return network["policy"](network["sees"](x)).sum()

    fit(network, loss, lambda: [(torch.ones(1, 1),)], epochs=1, learning_rate=0.1, slow=("policy",))
    for name, value in network.state_dict().items():
        moved = (value - before[name]).abs().item()
        assert abs(moved - (0.005 if name.startswith("policy") else 0.1)) < 1e-3, name
