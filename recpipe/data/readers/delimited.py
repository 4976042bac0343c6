"""Delimited text into Arrow columns; what is damaged is named by file and line."""

from __future__ import annotations

import codecs
import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as arrow_csv

from recpipe.data.readers.files import DataFile

WHOLE = pa.int64()
NUMBER = pa.float64()
TEXT = pa.string()
ID = None
"""The kind of a column of ids: whole numbers where every one is, otherwise text."""

MISSING = ("", "NULL", "null", "NaN", "nan", "NA", "N/A")
"""What an empty cell may look like in a table of ids and numbers; beside text only the empty cell itself is one."""
SEPARATOR = b"\x1f"
"""Stands for a delimiter of several characters, which Arrow does not know; it occurs in no text."""


class DamagedFile(ValueError):
    """A file that cannot be read. line: counted from 1; None where the fault belongs to no line."""

    def __init__(self, file: DataFile, line: int | None, what: str, text: str = "") -> None:
        where = f"{file}, line {line}" if line else f"{file}"
        super().__init__(f"{where}: {what}" + (f": {text!r}" if text else ""))
        self.file, self.line, self.text = str(file), line, text


@dataclass(frozen=True)
class Format:
    """How a file is written. names: of its columns, in order; None where the first line tells them."""

    delimiter: str
    quotes: bool = True
    names: tuple[str, ...] | None = None


def header(file: DataFile, form: Format) -> list[str]:
    """The column names in the first line, without a byte order mark."""
    with file.open() as stream:
        first = stream.readline().removeprefix(codecs.BOM_UTF8).decode("utf-8", errors="replace").rstrip("\r\n")
    if not first:
        raise DamagedFile(file, 1, "a line with the names of the columns is wanted, an empty one came")
    return _cells(first, form)


def separated(file: DataFile) -> Format:
    """Commas, or tabs where the first line has none."""
    commas = Format(",")
    return commas if len(header(file, commas)) > 1 else Format("\t")


def columns(
    file: DataFile, form: Format, wanted: Mapping[str, pa.DataType | None], missing: Sequence[str] | None = None
) -> pa.Table:
    """The wanted columns, in the order wanted; rows in the order of the file. Empty cells are null.

    wanted: a kind for every name: `WHOLE`, `NUMBER`, `TEXT` or `ID`. missing: what an empty cell may look like; None:
    by the kinds, as `MISSING` says. Text is UTF-8, or Latin-1 where it is not valid UTF-8. Raises `DamagedFile` for a
    line with too few or too many cells, for a cell that is not the number wanted, and where a column is not there.
    """
    names = list(form.names or header(file, form))
    for name in wanted:
        if names.count(name) != 1:
            raise DamagedFile(file, 1, f"one column {name!r} is wanted; the columns are {', '.join(names)}")
    if missing is None:
        missing = ("",) if TEXT in wanted.values() else MISSING
    strictly = {name: WHOLE if kind is ID else kind for name, kind in wanted.items()}
    loosely = {name: TEXT if kind is ID else kind for name, kind in wanted.items()}
    try:
        return _parse(file, form, names, strictly, missing)
    except pa.ArrowInvalid as error:
        if strictly == loosely:
            raise _damage(file, form, names, loosely, missing) or DamagedFile(file, None, str(error)) from error
    try:
        table = _parse(file, form, names, loosely, missing)
    except pa.ArrowInvalid as error:
        raise _damage(file, form, names, loosely, missing) or DamagedFile(file, None, str(error)) from error
    for position, name in enumerate(wanted):
        if wanted[name] is ID:
            table = table.set_column(position, name, _whole_where_possible(table[name]))
    return table


def _parse(
    file: DataFile, form: Format, names: Sequence[str], kinds: Mapping[str, pa.DataType], missing: Sequence[str]
) -> pa.Table:
    text = TEXT in kinds.values()
    several = len(form.delimiter) > 1
    read = arrow_csv.ReadOptions(
        column_names=names,
        skip_rows=0 if form.names else 1,
        encoding=_encoding(file) if text else "utf-8",
        block_size=2**22,
    )
    parse = arrow_csv.ParseOptions(
        delimiter=SEPARATOR.decode() if several else form.delimiter, quote_char='"' if form.quotes else False
    )
    convert = arrow_csv.ConvertOptions(
        column_types=dict(kinds),
        include_columns=list(kinds),
        null_values=list(missing),
        strings_can_be_null=True,
    )
    if several:
        stream = pa.BufferReader(file.content().replace(form.delimiter.encode(), SEPARATOR))
        table = arrow_csv.read_csv(stream, read, parse, convert)
    else:
        with file.open() as stream:
            table = arrow_csv.read_csv(stream, read, parse, convert)
    for name, kind in kinds.items():
        if kind == TEXT and pc.any(pc.match_substring(table[name], "\n")).as_py():
            raise pa.ArrowInvalid(f"column {name}: a quoted cell runs over the end of its line")
    return table


def _encoding(file: DataFile) -> str:
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        with file.open() as stream:
            while block := stream.read(2**20):
                decoder.decode(block)
            decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return "latin-1"
    return "utf-8"


def _whole_where_possible(column: pa.ChunkedArray) -> pa.ChunkedArray:
    try:
        return column.cast(WHOLE)
    except pa.ArrowInvalid:
        return column


def _damage(
    file: DataFile, form: Format, names: Sequence[str], kinds: Mapping[str, pa.DataType], missing: Sequence[str]
) -> DamagedFile | None:
    """Look for the first damaged line, one by one: slow, but only a broken file comes here."""
    checked = [(names.index(name), name, kind) for name, kind in kinds.items() if kind != TEXT]
    encoding = _encoding(file)
    number = 0
    with file.open() as stream:
        for number, raw in enumerate(stream, start=1):
            line = raw.decode(encoding).rstrip("\r\n")
            if not line or (number == 1 and not form.names):
                continue
            if form.quotes and line.count('"') % 2:
                return DamagedFile(file, number, "a quotation mark is not closed", line)
            cells = _cells(line, form)
            if len(cells) != len(names):
                return DamagedFile(file, number, f"{len(names)} columns are wanted, {len(cells)} came", line)
            for position, name, kind in checked:
                if cells[position] not in missing and not _is(cells[position], kind):
                    return DamagedFile(file, number, f"{name} is not a {'whole ' * (kind == WHOLE)}number", line)
    return DamagedFile(file, None, "the file is empty") if number == 0 else None


def _cells(line: str, form: Format) -> list[str]:
    if form.quotes:
        return next(csv.reader([line], delimiter=form.delimiter))
    return line.split(form.delimiter)


def _is(cell: str, kind: pa.DataType) -> bool:
    if cell.isascii() and cell.isdigit() and len(cell) < 16:
        return True
    try:
        pa.scalar(cell.strip()).cast(kind)
    except pa.ArrowInvalid:
        return False
    return True
