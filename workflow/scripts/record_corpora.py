"""Write down licence and citation of each corpus."""

from slimspeech.job import start

start(snakemake)

from slimspeech.artifacts import read_jsonl, write_json
from slimspeech.data.licences import describe_corpora

records = describe_corpora(
    snakemake.input.archive,
    read_jsonl(snakemake.input.segments),
    configured=snakemake.params.corpus,
    out_of_domain=snakemake.params.out_of_domain,
)
write_json(snakemake.output.corpora, records)
