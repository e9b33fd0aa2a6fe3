"""Put what the IWSLT compression track asks of a system into one archive."""

from slimspeech.job import start

start(snakemake)

from pathlib import Path

from slimspeech.artifacts import read_json
from slimspeech.release.iwslt import Storage, description, model_name, storage_bytes, write_bundle
from slimspeech.release.metadata import base_model

files, params = snakemake.input, snakemake.params
base, _ = base_model(params.base, params.release)
declared, corpora = read_json(files.declaration), read_json(files.corpora)
name = model_name(declared, corpora, params.submission)
storage = Storage(storage_bytes(files.model), read_json(files.state_dict)["bytes"])
text = description(
    name, declared, read_json(files.system_size), params.teacher, corpora, base, storage
)
content = {
    "description.md": text.encode(),
    "declaration.json": Path(files.declaration).read_bytes(),
    "hypotheses.txt": Path(files.text).read_bytes(),
    **{f"talks/{path.name}": path.read_bytes() for path in Path(files.talks).glob("*.txt")},
    **{f"tests/{Path(path).name}": Path(path).read_bytes() for path in files.tests},
}
write_bundle(snakemake.output.bundle, name, content)
