"""Delimited text into Arrow columns, a block at a time; what is damaged is named by file and line."""

from __future__ import annotations

import codecs
import csv
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import IO

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as arrow_csv

from recpipe.data.readers.files import DataFile
from recpipe.data.readers.rows import Rows

WHOLE = pa.int64()
NUMBER = pa.float64()
TEXT = pa.string()
ID = None
"""The kind of a column of ids: whole numbers where every one is and is written as numbers are, otherwise text."""
BYTES = pa.binary()

MISSING = ("", "NULL", "null", "NaN", "nan", "NA", "N/A")
"""What an empty cell may look like in a table of ids and numbers; beside text only the empty cell itself is one."""
ZEROS_BEFORE = r"^-?0."
"""How no whole number is written: "007" is text, or it would be handed back as 7."""
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
    """As `rows`, all of them in memory."""
    return rows(file, form, wanted, missing).table()


def rows(
    file: DataFile, form: Format, wanted: Mapping[str, pa.DataType | None], missing: Sequence[str] | None = None
) -> Rows:
    """The wanted columns, in the order wanted; rows in the order of the file. Empty cells are null.

    wanted: a kind for every name: `WHOLE`, `NUMBER`, `TEXT` or `ID`; for `ID` the file is read once to know which it
    is. missing: what an empty cell may look like; None: by the kinds, as `MISSING` says. Text is UTF-8, or Latin-1
    where it is not valid UTF-8. Raises `DamagedFile` where a column is not there, and when the rows are read for a line
    with too few or too many cells, for a quotation mark that is not closed, for a cell that is not the number wanted.
    """
    names = list(form.names or header(file, form))
    for name in wanted:
        if names.count(name) != 1:
            raise DamagedFile(file, 1, f"one column {name!r} is wanted; the columns are {', '.join(names)}")
    if missing is None:
        missing = ("",) if TEXT in wanted.values() else MISSING
    found = _File(file, form, [name if name in wanted else f"{n}: {name}" for n, name in enumerate(names)], missing)
    whole = found.that_are_whole([name for name, kind in wanted.items() if kind is ID])
    kinds = {name: (WHOLE if name in whole else TEXT) if kind is ID else kind for name, kind in wanted.items()}
    return Rows(pa.schema(kinds), partial(found.batches, kinds))


@dataclass(frozen=True)
class _File:
    """A file with what it takes to parse it. names: of all its columns, distinct; missing: what an empty cell is."""

    file: DataFile
    form: Format
    names: Sequence[str]
    missing: Sequence[str]

    def batches(self, kinds: Mapping[str, pa.DataType]) -> Iterator[pa.RecordBatch]:
        """The columns of these kinds. Raises `DamagedFile`, also where a quoted cell of any column swallows lines."""
        others = {name: BYTES for name in self.names if name not in kinds} if self.form.quotes else {}
        parsed = {**kinds, **others}
        with self._damage_told(kinds):
            for batch in self._parse(parsed):
                for name, kind in parsed.items():
                    if kind in (TEXT, BYTES) and pc.any(pc.match_substring(batch[name], "\n")).as_py():
                        raise pa.ArrowInvalid(f"column {name}: a quoted cell runs over the end of its line")
                yield batch.select(list(kinds))

    def that_are_whole(self, ids: Sequence[str]) -> set[str]:
        """Those of these columns whose every cell is a whole number or empty. Raises `DamagedFile`."""
        left, kinds = set(ids), dict.fromkeys(ids, BYTES)
        with self._damage_told(kinds):
            for batch in self._parse(kinds) if ids else ():
                left = {name for name in left if _is_whole(batch[name])}
                if not left:
                    break
        return left

    @contextmanager
    def _damage_told(self, kinds: Mapping[str, pa.DataType]) -> Iterator[None]:
        """An error of Arrow's becomes a `DamagedFile` that names the line."""
        try:
            yield
        except pa.ArrowInvalid as error:
            damage = _damage(self.file, self.form, self.names, kinds, self.missing)
            raise damage or DamagedFile(self.file, None, str(error)) from error

    def _parse(self, kinds: Mapping[str, pa.DataType]) -> Iterator[pa.RecordBatch]:
        text = TEXT in kinds.values()
        several = len(self.form.delimiter) > 1
        read = arrow_csv.ReadOptions(
            column_names=self.names,
            skip_rows=0 if self.form.names else 1,
            encoding=_encoding(self.file) if text else "utf-8",
            block_size=2**20,
        )
        parse = arrow_csv.ParseOptions(
            delimiter=SEPARATOR.decode() if several else self.form.delimiter,
            quote_char='"' if self.form.quotes else False,
        )
        convert = arrow_csv.ConvertOptions(
            column_types=dict(kinds),
            include_columns=list(kinds),
            null_values=list(self.missing),
            strings_can_be_null=True,
        )
        with self._opened() as stream, arrow_csv.open_csv(stream, read, parse, convert) as reader:
            yield from reader

    @contextmanager
    def _opened(self) -> Iterator[IO[bytes] | pa.NativeFile]:
        one_byte = len(self.form.delimiter) == 1
        if self.file.plain and one_byte:
            with pa.OSFile(str(self.file.stored)) as stream:  # blocks never become Python's, whose memory stays taken
                yield stream
            return
        with self.file.open() as stream:
            yield stream if one_byte else pa.PythonFile(_OneByte(stream, self.form.delimiter), "r")


class _OneByte:
    """A stream in which `SEPARATOR` stands for a delimiter that is one character twice."""

    def __init__(self, stream: IO[bytes], delimiter: str) -> None:
        self.closed = False
        self._stream, self._delimiter = stream, delimiter.encode()

    def read(self, size: int) -> bytes:
        """At most so many bytes; nothing at the end."""
        block = self._stream.read(max(1, size - 1))
        half = self._delimiter[:1]
        if (len(block) - len(block.rstrip(half))) % 2:  # a delimiter may begin here
            block += self._stream.read(1)
        return block.replace(self._delimiter, SEPARATOR)

    def close(self) -> None:
        self.closed = True


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


def _is_whole(cells: pa.Array) -> bool:
    """Whether every one of these `BYTES` is null or a whole number, with or without spaces around it."""
    numbers = _numbers(cells)
    if numbers is None:
        cells = pc.ascii_trim_whitespace(cells.view(TEXT))
        numbers = _numbers(cells)
        if numbers is None:
            return False
    if pc.any(pc.starts_with(cells, "0")).as_py() or pc.any(pc.less(numbers, 0)).as_py():
        return not pc.any(pc.match_substring_regex(cells, ZEROS_BEFORE)).as_py()
    return True


def _numbers(cells: pa.Array) -> pa.Array | None:
    try:
        return cells.cast(WHOLE)
    except pa.ArrowInvalid:
        return None


def _damage(
    file: DataFile, form: Format, names: Sequence[str], kinds: Mapping[str, pa.DataType], missing: Sequence[str]
) -> DamagedFile | None:
    """Look for the first damaged line, one by one: slow, but only a broken file comes here."""
    checked = [(names.index(name), name, kind) for name, kind in kinds.items() if kind not in (TEXT, BYTES)]
    encoding = _encoding(file)
    number = 0
    with file.open() as stream:
        for number, raw in enumerate(stream, start=1):
            line = raw.decode(encoding).rstrip("\r\n")
            if not line or (number == 1 and not form.names):
                continue
            if form.quotes and _is_open(line, form):
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


def _is_open(line: str, form: Format) -> bool:
    """Whether a cell that begins with a quotation mark goes on behind the line."""
    try:
        list(csv.reader([line], delimiter=form.delimiter, strict=True))
    except csv.Error as error:
        return "end of data" in str(error)
    return False


def _is(cell: str, kind: pa.DataType) -> bool:
    if cell.isascii() and cell.isdigit() and len(cell) < 16:
        return True
    try:
        pa.scalar(cell.strip()).cast(kind)
    except pa.ArrowInvalid:
        return False
    return True
