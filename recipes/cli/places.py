"""`attention-zoo download` and `push`: trained models that lie elsewhere."""

import attention_zoo
from attention_zoo import remote
from attention_zoo.pretrained import find
from attention_zoo.recipes.core.errors import UserError


def add_arguments(parser):
    """Adds the arguments of `download` to a parser."""
    parser.add_argument("names", nargs="*", metavar="NAME", help="trained models")
    parser.add_argument("--all", action="store_true", help="all that there are")
    parser.add_argument(
        "--from",
        dest="place",
        metavar="PLACE",
        help="a folder, an https:// address or hf://USER/REPOSITORY "
        f"(default: the environment variable {remote.PLACE})",
    )


def download(args):
    """Prints the path of each trained model's file, once it is here."""
    if bool(args.names) == args.all:
        raise UserError("download takes names or --all, and not both")
    for name in args.names or attention_zoo.list_pretrained():
        print(attention_zoo.download(name, args.place), flush=True)


def push(args):
    """Copies the folder of a trained model, and prints where it lies now."""
    entry = find(args.name)
    entry.load()  # what cannot be opened here helps nobody there
    print(remote.push(entry.folder, args.target))
