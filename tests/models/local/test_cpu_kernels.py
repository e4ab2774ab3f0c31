import copy
import subprocess
import sys

import pytest
import torch
from safetensors.torch import save_file

from slm_orchestration.models.local.cpu_kernels import PackedLinear, pack

pytestmark = pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="torch was built without oneDNN")


@pytest.mark.parametrize("rows", [(1,), (7,), (2, 5), (3, 200)])
@pytest.mark.parametrize("bias", [True, False])
def test_a_packed_layer_multiplies_as_the_layer_does(rows, bias):
    layer = torch.nn.Linear(24, 40, bias=bias)
    given = torch.randn(*rows, 24, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(PackedLinear(layer, torch.float32)(given), layer(given), rtol=1e-5, atol=1e-5)


def test_a_packed_layer_takes_rows_that_do_not_lie_side_by_side():
    layer, given = torch.nn.Linear(24, 40), torch.randn(2, 9, 24)
    torch.testing.assert_close(
        PackedLinear(layer, torch.float32)(given[:, -1]), layer(given[:, -1]), rtol=1e-5, atol=1e-5
    )
    torch.testing.assert_close(
        PackedLinear(layer, torch.float32)(given.mT.contiguous().mT), layer(given), rtol=1e-5, atol=1e-5
    )


def test_every_linear_layer_of_a_network_is_packed_and_the_embedding_that_it_shares_stays():
    embedding, head = torch.nn.Embedding(12, 8), torch.nn.Linear(8, 12, bias=False)
    head.weight = embedding.weight
    network = torch.nn.Sequential(embedding, torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.ReLU()), head)
    before = copy.deepcopy(network)
    with torch.inference_mode():
        pack(network, torch.float32)
        kinds = [type(module).__name__ for module in network.modules()]
        assert kinds == ["Sequential", "StoredEmbedding", "Sequential", "PackedLinear", "ReLU", "PackedLinear"]
        torch.testing.assert_close(network(torch.arange(12)), before(torch.arange(12)), rtol=1e-5, atol=1e-5)


def test_a_network_stored_in_half_precision_computes_as_its_wide_copy_does_bit_by_bit():
    torch.manual_seed(0)
    stored = torch.nn.Sequential(torch.nn.Embedding(12, 8), torch.nn.LayerNorm(8), torch.nn.Linear(8, 5)).half()
    wide = copy.deepcopy(stored).float()
    with torch.inference_mode():
        pack(stored, torch.float32)
        pack(wide, torch.float32)
        assert stored[0].weight.dtype == torch.float16
        assert torch.equal(stored(torch.arange(12)), wide(torch.arange(12)))


@pytest.mark.skipif(sys.platform != "linux", reason="memory is given back, and measured, on Linux only")
def test_packing_takes_the_memory_of_one_wide_copy_and_no_more(tmp_path):
    # 32 matrices of 4 MB in half precision, mapped from one file: 256 MB when wide, 384 if what was read stayed.
    file = tmp_path / "weights.safetensors"
    save_file({str(n): torch.full((1024, 2048), 0.5, dtype=torch.float16) for n in range(32)}, file)
    program = f"""
import torch
from safetensors.torch import load_file
from slm_orchestration.models.local.cpu_kernels import pack
peak = lambda: int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0]) / 1024
layers = torch.nn.Sequential(*(torch.nn.Sequential(torch.nn.Linear(1, 1, bias=False)) for _ in range(32)))
pack(torch.nn.Sequential(torch.nn.Linear(64, 64)), torch.float32)  # what a first call needs is not counted
before = peak()
for name, weight in load_file({str(file)!r}).items():
    layers[int(name)][0].weight = torch.nn.Parameter(weight, False)
del weight
pack(layers, torch.float32)
print(peak() - before)
"""
    grown = float(subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout)
    assert 250 < grown < 300


def test_a_number_type_that_the_kernels_do_not_know_is_converted_to_only():
    network = torch.nn.Sequential(torch.nn.Linear(4, 4))
    pack(network, torch.float64)
    assert type(network[0]) is torch.nn.Linear and network[0].weight.dtype == torch.float64
