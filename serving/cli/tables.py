"""Tables, as every verb prints them: nothing in them is ever cut, since names are typed again.

On a terminal columns of text fold; where whole names and figures leave no room for that, each row becomes a
block of lines. In a pipe, and with NO_COLOR, a row is a plain line, for grep and cut.
"""

from collections.abc import Collection, Iterator

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.padding import Padding
from rich.table import Table as Grid
from rich.text import Text

LEAST = 9  # letters that a column of text folds to
GAP = 2  # spaces between columns


class Table:
    """Rows of cells under headers; a cell may have several lines.

    Args:
        columns: the headers.
        title, caption: lines above and below.
        whole: columns of names that are typed again: each line of their cells stays in one piece.
        figures: columns of numbers: in one piece too, and flush right.
    """

    def __init__(
        self,
        *columns: str,
        title: str = "",
        caption: str = "",
        whole: Collection[str] = (),
        figures: Collection[str] = (),
    ) -> None:
        self.columns = columns
        self.title = title
        self.caption = caption
        self.whole = whole
        self.figures = figures
        self.rows: list[list[Text]] = []

    def add(self, *cells: str | Text) -> None:
        """Add a row, a cell for each column; a str is text, not markup."""
        assert len(cells) == len(self.columns)
        self.rows.append([cell if isinstance(cell, Text) else Text(cell) for cell in cells])

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Render for where the console writes."""
        if not console.is_terminal or console.no_color:
            yield from self._lines()
        elif self._fits(options.max_width):
            yield self._grid()
        else:
            yield from self._blocks()

    def _width(self, index: int) -> int:
        """Of a column's longest line; its header may fold between words."""
        lines = [line for row in self.rows for line in row[index].plain.splitlines()]
        return max(map(cell_len, [*lines, *self.columns[index].split(), ""]))

    def _in_one_piece(self, column: str) -> bool:
        return column in self.whole or column in self.figures

    def _fits(self, width: int) -> bool:
        least = [
            self._width(index) if self._in_one_piece(column) else min(self._width(index), LEAST)
            for index, column in enumerate(self.columns)
        ]
        return sum(least) + GAP * len(least) - 1 <= width

    def _grid(self) -> Grid:
        grid = Grid(
            box=SIMPLE_HEAD,
            show_edge=False,
            padding=(0, GAP - 1, 0, 0),
            title=Text(self.title) if self.title else None,
            caption=Text(self.caption) if self.caption else None,
            title_justify="left",
            caption_justify="left",
            show_header=any(self.columns),
        )
        for index, column in enumerate(self.columns):
            grid.add_column(
                column,
                width=self._width(index) if self._in_one_piece(column) else None,
                justify="right" if column in self.figures else "left",
                overflow="fold",
            )
        for row in self.rows:
            grid.add_row(*row)
        return grid

    def _blocks(self) -> Iterator[Text | Padding | Grid]:
        """Each row under its first cell, a line for each other column."""
        if self.title:
            yield Text(self.title, style="table.title")
        for first, *others in self.rows:
            yield first
            block = Grid.grid(padding=(0, GAP))
            block.add_column(style="table.header", no_wrap=True)
            block.add_column(overflow="fold")
            for column, cell in zip(self.columns[1:], others, strict=True):
                if cell:
                    block.add_row(column, cell)
            yield Padding(block, (0, 0, 0, GAP))
        if self.caption:
            yield Text(self.caption, style="table.caption")

    def _lines(self) -> Iterator[Text]:
        """Each row in one line, its columns at the same place in all of them."""
        header = [[Text(column) for column in self.columns]] if any(self.columns) else []
        rows = [
            [Text(", ").join(cell.split(allow_blank=True)) for cell in row] for row in [*header, *self.rows]
        ]
        widths = [max(cell_len(cell.plain) for cell in column) for column in zip(*rows, strict=True)]
        yield from map(Text, self.title.splitlines())
        for row in rows:
            line = Text()
            for column, width, cell in zip(self.columns, widths, row, strict=True):
                cell.align("right" if column in self.figures else "left", width)
                line.append_text(cell).append(" " * GAP)
            line.rstrip()
            yield line
        yield from map(Text, self.caption.splitlines())
