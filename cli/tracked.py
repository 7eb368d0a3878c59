"""Options of commands that read someone's tracking of a movie in the store."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .parsing import parse_columns, parse_frames, parse_scale

if TYPE_CHECKING:
    from ..storage.formats.base import SourceOptions

Format = Annotated[str, typer.Option("--format", help="Format of PATH; auto: whatever it looks like.")]
Sequence = Annotated[str | None, typer.Option(help="Sequence of a CTC data set that holds several.")]
Columns = Annotated[
    str | None, typer.Option(help="Columns of a table: t=frame,y=..,x=..,z=..,id=..,parent=..,label=..,track=..")
]
Links = Annotated[Path | None, typer.Option(help="Second table: source,target ids of linked points.")]
Frames = Annotated[str | None, typer.Option(help="Frames to read, START:STOP:STEP, as the dataset was read.")]
PixelSize = Annotated[str | None, typer.Option(help="Voxel size of PATH in micrometres, [Z,]Y,X.")]
MatchDistance = Annotated[
    float | None,
    typer.Option(
        help="How far a cell may be from its detection where they are points, in micrometres (pixels without a voxel "
        "size); half the median spacing by default."
    ),
]


def tracking_options(
    sequence: str | None,
    columns: str | None,
    links: Path | None,
    frames: str | None,
    pixel_size: str | None,
    truth: Path | None = None,
) -> "SourceOptions":
    """Return what the user said about a tracking."""
    from ..storage.formats.base import SourceOptions

    return SourceOptions(
        sequence=sequence,
        columns=parse_columns(columns),
        links=links,
        frames=parse_frames(frames),
        scale_um=parse_scale(pixel_size),
        truth=truth,
    )
