import pandas as pd

from slm_orchestration.figures.replay_scaling import replay_scaling


def test_each_way_is_drawn_as_measured_beside_growth_in_proportion():
    rows = [("exact curve", 10, 0.5), ("exact curve", 1000, 20.0), ("loop", 10, 9.0)]
    axes = replay_scaling(pd.DataFrame(rows, columns=["way", "tasks", "seconds"])).axes[0]
    drawn = {line.get_label(): line.get_xydata().tolist() for line in axes.get_lines()}
    assert drawn == {
        "exact curve": [[10, 0.5], [1000, 20.0]],
        "loop": [[10, 9.0]],
        "in proportion": [[10, 0.5], [1000, 50.0]],
    }
