"""The slotted cache on keys and values that are numbered by row and token."""

import pytest
import torch
from transformers import DynamicCache

from slm_orchestration.models.local.kv_cache import SlottedCache

HEADS, WIDTH, LAYERS = 2, 3, 2


def _prefilled(*rows):
    """Keys of layer l are 1000·l + the number given for each token; values are their negatives."""
    tokens = torch.tensor(rows, dtype=torch.float64)[:, None, :, None].expand(-1, HEADS, -1, WIDTH)
    cache = DynamicCache()
    for layer in range(LAYERS):
        cache.update(tokens + 1000 * layer, -(tokens + 1000 * layer), layer)
    return cache


def _keys(slots, layer=0):
    return slots.cache.layers[layer].keys[:, 0, :, 0].tolist()


@pytest.fixture
def filled():
    # row 0 has three tokens; row 1 has two, and padding on their left
    prefilled = _prefilled([11, 12, 13], [0, 21, 22])
    cache = SlottedCache(torch.device("cpu"), rows=3, capacity=6, length=4)
    for layer in prefilled.layers:
        cache.add_layer(layer)
    cache.insert([0, 2], prefilled, [0, 1], torch.tensor([[1, 1, 1], [0, 1, 1]]))
    return cache


def test_prompts_end_at_the_common_length_in_their_slots(filled):
    assert _keys(filled) == [[0, 11, 12, 13, 0, 0], [0] * 6, [0, 0, 21, 22, 0, 0]]
    assert _keys(filled, layer=1)[0] == [0, 1011, 1012, 1013, 0, 0]
    assert filled.cache.layers[0].values[2, 1, :4, 2].tolist() == [0, 0, -21, -22]
    assert filled.mask.tolist() == [[0, 1, 1, 1, 0, 0], [0] * 6, [0, 0, 1, 1, 0, 0]]
    assert (filled.rows, filled.capacity) == (3, 6)


def test_the_longest_row_counts_columns_from_its_first_token(filled):
    assert filled.longest([0, 2]) == 3
    assert filled.longest([2]) == 2
    assert filled.longest([]) == 0


def test_a_reused_slot_forgets_the_tokens_of_the_finished_row(filled):
    filled.insert([0], _prefilled([31]), [0], torch.tensor([[1]]))
    assert filled.mask[0].tolist() == [0, 0, 0, 1, 0, 0]
    assert _keys(filled)[0][3] == 31
    assert filled.mask[2].tolist() == [0, 0, 1, 1, 0, 0]


def test_a_new_token_is_written_in_place_at_the_reserved_column(filled):
    storage = filled.cache.layers[0].keys.data_ptr()
    filled.extend()
    assert (filled.length, filled.mask[:, 4].tolist()) == (5, [1, 1, 1])
    new = torch.full((3, HEADS, 1, WIDTH), 99.0, dtype=torch.float64)
    keys, values = filled.cache.update(new, -new, 0)
    assert keys[:, 0, :, 0].tolist() == [[0, 11, 12, 13, 99], [0, 0, 0, 0, 99], [0, 0, 21, 22, 99]]
    assert values[0, 0, -1, 0] == -99
    assert filled.cache.layers[0].keys.data_ptr() == storage
    assert filled.cache.layers[0].get_seq_length() == 5


def test_whole_blocks_of_columns_are_read_and_the_capacity_is_a_number_of_blocks():
    slots = SlottedCache(torch.device("cpu"), rows=1, capacity=9, length=7, block=4)
    layer = slots.add_layer(_prefilled([1]).layers[0])
    assert slots.capacity == 12
    new = torch.ones(1, HEADS, 1, WIDTH, dtype=torch.float64)
    for length, read in ((8, 8), (9, 12)):
        slots.extend()
        keys, _ = layer.update(new, new)
        assert (slots.length, keys.shape[2]) == (length, read)
    assert _keys(slots) == [[0] * 7 + [1, 1] + [0] * 3]
    assert slots.compacted([0], rows=1, length=2, capacity=3).capacity == 4


def test_compaction_keeps_the_rows_that_go_on_and_empties_the_old_cache(filled):
    fresh = filled.compacted([2], rows=2, length=3, capacity=4)
    assert _keys(fresh) == [[0, 21, 22, 0], [0] * 4]
    assert _keys(fresh, layer=1)[0] == [0, 1021, 1022, 0]
    assert fresh.mask.tolist() == [[0, 1, 1, 0], [0] * 4]
    assert (fresh.length, [layer.get_seq_length() for layer in fresh.cache.layers]) == (3, [3, 3])
    assert filled.cache.layers == []
