"""slimspeech serve: a page that translates with several models side by side."""

import argparse
import logging
from importlib.util import find_spec
from typing import TYPE_CHECKING

from slimspeech.cli.console import quiet_libraries
from slimspeech.cli.options import (
    add_model_options,
    add_segmentation_options,
    add_server_options,
    make_translator,
    positive,
    segmentation_of,
    started_engine,
)
from slimspeech.errors import InputError
from slimspeech.formatting import file_size, weight_count

if TYPE_CHECKING:
    from slimspeech.longform.translator import Translator
    from slimspeech.web.models import ServedModel

logger = logging.getLogger(__name__)

PORT = 7860
REQUIRED = ("fastapi", "python_multipart", "uvicorn")


def add_parser(subparsers) -> None:
    parser = subparsers.add_parser(
        "serve",
        help="serve a page that translates with several models side by side",
        description="Serve a page that translates uploaded or recorded speech with one or several "
        "models, side by side. Stop it with ctrl-C.",
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
        help="address to listen on (default: 127.0.0.1, reachable only from this machine)",
    )
    parser.add_argument(
        "--port",
        type=int,
        default=PORT,
        help=f"port to listen on; 0 chooses a free port (default: {PORT})",
    )
    parser.add_argument(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help="an additional host name of this server, such as that of a proxy; can be repeated",
    )
    limits = parser.add_argument_group("limits")
    for option, kind, default, metavar, text in (
        ("--max-upload-mb", float, 200.0, "MB", "size of the largest file"),
        ("--max-minutes", float, 60.0, "MIN", "length of the longest audio"),
        ("--max-queue", int, 20, "N", "number of waiting jobs; further jobs are refused"),
    ):
        limits.add_argument(
            option,
            type=positive(kind),
            default=default,
            metavar=metavar,
            help=f"{text} (default: {default:g})",
        )
    add_model_options(parser)
    add_server_options(parser)
    add_segmentation_options(parser)
    parser.add_argument(
        "--preload",
        action="store_true",
        help="load all models at the start, not at their first use",
    )
    parser.add_argument("-q", "--quiet", action="store_true", help="show only errors")
    parser.set_defaults(run=run, verbose=True)


def run(arguments: argparse.Namespace) -> int:
    """0 after the server was stopped."""
    if missing := [name for name in REQUIRED if find_spec(name) is None]:
        raise InputError(
            f"serve needs {', '.join(missing)}, which are not installed; "
            "run pip install '.[serve]' where slimspeech was cloned"
        )
    if (arguments.server or arguments.engine) and len(arguments.models) > 1:
        raise InputError(
            f"--server and --engine: stand for one model, and {len(arguments.models)} directories "
            "are given; give one"
        )
    from slimspeech.web import server
    from slimspeech.web.models import describe

    models = describe(arguments.models, arguments.to, arguments.source)
    with server.bind(arguments.host, arguments.port) as bound, started_engine(arguments):
        for model in models:
            logger.info(
                "%s: %s, %d layers, %s weights, %s of files, quantisation %s",
                model.id,
                model.title,
                model.layers,
                weight_count(model.weights),
                file_size(model.bytes),
                model.quantization,
            )
        names = (*server.own_names(arguments.host, bound), *arguments.allow_host)
        app = _application(models, names, arguments)
        if not server.is_loopback(bound):
            logger.warning(
                "everyone who can reach this port can use the models; put a proxy with a login in "
                "front of it, or omit --host"
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
