import pytest

from slimspeech.training.slurm_task import take_part


@pytest.mark.parametrize(
    "gpus, own",
    [("0,1", "1"), ("GPU-a,GPU-b,GPU-c", "GPU-b"), ("3", "3"), ("", ""), (None, None)],
)
def test_the_second_process_of_the_second_node(gpus, own, tmp_path):
    """SLURM binds a task to its GPU, or lets it see all of the node."""
    environment = {"SLURM_PROCID": "3", "SLURM_NTASKS": "4", "SLURM_LOCALID": "1"}
    if gpus is not None:
        environment["CUDA_VISIBLE_DEVICES"] = gpus
    take_part(environment, str(tmp_path))
    assert (environment["RANK"], environment["WORLD_SIZE"]) == ("3", "4")
    assert environment["TORCHELASTIC_ERROR_FILE"] == str(tmp_path / "3.json")
    assert environment.get("CUDA_VISIBLE_DEVICES") == own
