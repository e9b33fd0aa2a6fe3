"""Put what the IWSLT compression track asks of a system into one archive."""

from slimspeech.job import start

start(snakemake)

from pathlib import Path

from slimspeech.artifacts import read_json
from slimspeech.release.iwslt import description, storage_bytes, write_bundle
from slimspeech.release.metadata import base_model

files, params = snakemake.input, snakemake.params
base, _ = base_model(params.base, params.release)
text = description(
    read_json(files.declaration),
    read_json(files.system_size),
    params.teacher,
    read_json(files.corpora),
    base,
    storage_bytes(files.model),
)
content = {
    "description.md": text.encode(),
    "declaration.json": Path(files.declaration).read_bytes(),
    "hypotheses.txt": Path(files.text).read_bytes(),
    **{f"talks/{path.name}": path.read_bytes() for path in Path(files.talks).glob("*.txt")},
}
name = "_".join(snakemake.wildcards[key] for key in ("experiment", "pair", "system"))
write_bundle(snakemake.output.bundle, name, content)
