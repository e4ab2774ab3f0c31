import copy

import pytest
import torch

from slm_orchestration.models.packed import PackedLinear, pack

pytestmark = pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="torch was built without oneDNN")


@pytest.mark.parametrize("rows", [(1,), (7,), (2, 5), (3, 200)])
@pytest.mark.parametrize("bias", [True, False])
def test_a_packed_layer_multiplies_as_the_layer_does(rows, bias):
    layer = torch.nn.Linear(24, 40, bias=bias)
    given = torch.randn(*rows, 24, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(PackedLinear(layer)(given), layer(given), rtol=1e-5, atol=1e-5)


def test_a_packed_layer_takes_rows_that_do_not_lie_side_by_side():
    layer, given = torch.nn.Linear(24, 40), torch.randn(2, 9, 24)
    torch.testing.assert_close(PackedLinear(layer)(given[:, -1]), layer(given[:, -1]), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(PackedLinear(layer)(given.mT.contiguous().mT), layer(given), rtol=1e-5, atol=1e-5)


def test_every_linear_layer_of_a_network_is_packed_and_the_embedding_that_it_shares_stays():
    embedding, head = torch.nn.Embedding(12, 8), torch.nn.Linear(8, 12, bias=False)
    head.weight = embedding.weight
    network = torch.nn.Sequential(embedding, torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.ReLU()), head)
    before = copy.deepcopy(network)
    with torch.inference_mode():
        pack(network)
        kinds = [type(module).__name__ for module in network.modules()]
        assert kinds == ["Sequential", "Embedding", "Sequential", "PackedLinear", "ReLU", "PackedLinear"]
        torch.testing.assert_close(network(torch.arange(12)), before(torch.arange(12)), rtol=1e-5, atol=1e-5)


def test_a_number_type_that_the_kernels_do_not_know_stays_as_it_is():
    network = torch.nn.Sequential(torch.nn.Linear(4, 4, dtype=torch.float64))
    pack(network)
    assert type(network[0]) is torch.nn.Linear
