"""slimspeech serve: a page that translates with several models side by side."""

import argparse
import logging
from importlib.util import find_spec
from typing import TYPE_CHECKING

from slimspeech.cli.console import quiet_libraries
from slimspeech.cli.options import (
    add_model_options,
    add_segmentation_options,
    make_translator,
    positive,
    segmentation_of,
)
from slimspeech.errors import InputError
from slimspeech.formatting import file_size, weight_count

if TYPE_CHECKING:
    from slimspeech.longform.translator import Translator
    from slimspeech.web.models import ServedModel

logger = logging.getLogger(__name__)

PORT = 7860
NEEDED = ("fastapi", "python_multipart", "uvicorn")


def add_parser(subparsers) -> None:
    parser = subparsers.add_parser(
        "serve",
        help="serve a page that translates with several models side by side",
        description="Serve a page where speech is uploaded or recorded and translated by one or "
        "several models, side by side. It stops by ctrl-C.",
    )
    parser.add_argument(
        "models",
        nargs="+",
        metavar="DIR",
        help="directories of models, such as results/mini/en-de/teacher",
    )
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="address to listen at (default: 127.0.0.1, which only this machine reaches)",
    )
    parser.add_argument(
        "--port",
        type=int,
        default=PORT,
        help=f"port to listen at, 0 for any free one (default: {PORT})",
    )
    parser.add_argument(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help="a host name that this server may be called by, such as that of a proxy before it; "
        "can be given several times",
    )
    limits = parser.add_argument_group("limits")
    limits.add_argument(
        "--max-upload-mb",
        type=positive(float),
        default=200.0,
        metavar="MB",
        help="largest file (default: 200)",
    )
    limits.add_argument(
        "--max-minutes",
        type=positive(float),
        default=60.0,
        metavar="MIN",
        help="longest audio (default: 60)",
    )
    limits.add_argument(
        "--max-queue",
        type=positive(int),
        default=20,
        metavar="N",
        help="jobs that may wait; further ones are told to come back (default: 20)",
    )
    add_model_options(parser)
    add_segmentation_options(parser)
    parser.add_argument(
        "--preload",
        action="store_true",
        help="load all models at once, not each when it is first asked for",
    )
    parser.add_argument("-q", "--quiet", action="store_true", help="say only what goes wrong")
    parser.set_defaults(run=run, verbose=True)


def run(arguments: argparse.Namespace) -> int:
    """0 once it was stopped."""
    if missing := [name for name in NEEDED if find_spec(name) is None]:
        raise InputError(
            f"serve needs {', '.join(missing)}, which are not installed; "
            "run pip install '.[serve]' where slimspeech was cloned"
        )
    from slimspeech.web import server
    from slimspeech.web.models import describe

    models = describe(arguments.models, arguments.to, arguments.source)
    with server.bind(arguments.host, arguments.port) as bound:
        for model in models:
            logger.info("%s", _line(model))
        names = (*server.own_names(arguments.host, bound), *arguments.allow_host)
        app = _application(models, names, arguments)
        if not server.is_loopback(bound):
            logger.warning(
                "others on the network can reach this server, and nothing asks them who they are; "
                "put a proxy that does before it, or leave --host out"
            )
        print(f"Open {server.address(bound)} in a browser; ctrl-C stops.", flush=True)
        server.run(app, bound)
    return 0


def _application(
    models: list["ServedModel"], names: tuple[str, ...], arguments: argparse.Namespace
):
    with quiet_libraries():
        from slimspeech.web.app import Settings, create_app
        from slimspeech.web.loading import Models
        from slimspeech.web.uploads import Limits

    def load(model: "ServedModel") -> "Translator":
        with quiet_libraries():
            return make_translator(arguments, model.directory, model.target, model.source)

    loader = Models(models, load, segmentation_of(arguments))
    if arguments.preload:
        for model in models:
            loader.load(model.id)
    limits = Limits(round(1e6 * arguments.max_upload_mb), 60 * arguments.max_minutes)
    return create_app(models, loader, Settings(limits, arguments.max_queue, names))


def _line(model: "ServedModel") -> str:
    return (
        f"{model.id}: {model.title}, {model.layers} layers, {weight_count(model.weights)} weights, "
        f"{file_size(model.bytes)} of files, quantisation {model.quantization}"
    )
