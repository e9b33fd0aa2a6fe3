"""Choose layers, formats and vocabulary of a student that fits its budget."""

from slimspeech.job import start

start(snakemake)

from slimspeech.artifacts import read_json, write_json
from slimspeech.budget.choice import spend
from slimspeech.budget.forms import Request, Vocabulary, expected_losses
from slimspeech.models.loading import read_config

files, request = snakemake.input, snakemake.params.request
layers = [read_json(path) for path in files.layers]
sensitivities = read_json(files.sensitivities)
measured = sensitivities["removed"].get(snakemake.params.criterion, [])
lengths = read_json(files.vocabularies[0]) if files.vocabularies else []
choice = spend(
    read_config(files.teacher),
    request["budget"],
    Request(
        [row["kept"] for row in layers],
        request["quantization"],
        [Vocabulary(**row) for row in lengths] or [Vocabulary(request["sizes"][0], 0.0)],
    ),
    expected_losses(
        sensitivities,
        [measured[k - 1] if len(layers) > 1 and k else {} for k in request["removed"]],
        snakemake.params.repair,
    ),
    layers[-1]["removed"],
    request["without"],
)
write_json(snakemake.output.choice, choice)
