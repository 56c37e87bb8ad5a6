"""Traces on disk: Parquet with zstd, written as samples come, read back a block at a time.

Columns: `current` (int32; null where a sample was lost), and where the meter has them `voltage` (int32),
`range` and `logic` (uint8). The file's metadata under `bench.trace` is JSON: rate, start, units and the
rest of `TraceInfo`. Any Parquet reader can open it.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy
import pyarrow
import pyarrow.parquet

from bench.current.trace import BLOCK, LOST, Block, Samples, Trace, TraceInfo, to_counts
from bench.errors import FileError, MeasurementError
from bench.outside_files import why_not_regular

_KEY = b"bench.trace"
_PACKED = "DELTA_BINARY_PACKED"  # smallest and fastest of the encodings on noisy traces, before zstd
_COLUMNS = (("voltage", pyarrow.int32()), ("range", pyarrow.uint8()), ("logic", pyarrow.uint8()))


class TraceWriter:
    """Writes `path` while samples come in, in some 50 MB of memory. Use as a context manager.

    The file appears under its name when it is complete; until then, and for good after an error in
    the `with` block, it is `path` plus ".partial".
    """

    def __init__(self, path: Path, info: TraceInfo) -> None:
        self.path, self.info = path, info
        self._partial = path.with_name(path.name + ".partial")
        self._writer: Any = None
        self._columns: tuple[bool, bool, bool] = (False, False, False)
        self._kept: list[Block] = []
        self._length = 0
        self._closed = False

    def __enter__(self) -> TraceWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        elif self._writer is not None:
            self._writer.close()

    def append(self, samples: Samples) -> None:
        """Add what a meter delivered. Raises `MeasurementError` for values that cannot be."""
        if len(samples.current) == 0:
            return
        block = to_counts(samples, self.info)
        columns = (block.volts is not None, block.range is not None, block.logic is not None)
        if self._writer is None:
            self._open(columns)
        elif columns != self._columns:
            raise MeasurementError(
                f"{self.path.name}: the meter's columns changed while it ran", help="close it and start anew"
            )
        self._kept.append(block)
        self._length += len(block)
        while self._length >= BLOCK:
            self._write(BLOCK)

    def close(self) -> StoredTrace:
        """Complete the file. Idempotent. Raises `MeasurementError` when no sample was ever added."""
        if self._closed:
            return StoredTrace(self.path)
        if self._writer is None:
            raise MeasurementError(
                f"{self.path.name}: no samples", help="was the meter started, and its output read?"
            )
        if self._length:
            self._write(self._length)
        self._writer.close()
        self._closed = True
        os.replace(self._partial, self.path)
        return StoredTrace(self.path)

    def _open(self, columns: tuple[bool, bool, bool]) -> None:
        self._columns = columns
        fields = [pyarrow.field("current", pyarrow.int32())]
        fields += [
            pyarrow.field(n, t, nullable=False)
            for (n, t), there in zip(_COLUMNS, columns, strict=True)
            if there
        ]
        metadata = {_KEY: json.dumps(dataclasses.asdict(self.info), sort_keys=True).encode()}
        self._writer = pyarrow.parquet.ParquetWriter(
            self._partial,
            pyarrow.schema(fields, metadata=metadata),
            compression="zstd",
            use_dictionary=["range", "logic"],
            write_statistics=True,
            column_encoding={field.name: _PACKED for field in fields if field.type == pyarrow.int32()},
        )

    def _write(self, length: int) -> None:
        """The first `length` of the kept samples become one row group."""
        taken: list[Block] = []
        while length:
            block = self._kept.pop(0)
            if len(block) > length:
                self._kept.insert(0, dataclasses.replace(block.part(length, len(block)), first=0))
                block = block.part(0, length)
            taken.append(block)
            length -= len(block)
        counts = numpy.concatenate([b.counts for b in taken])
        lost = counts == LOST
        arrays = [pyarrow.array(counts, mask=lost if lost.any() else None)]
        for name in ("volts", "range", "logic"):
            parts = [getattr(b, name) for b in taken]
            if parts[0] is not None:
                arrays.append(pyarrow.array(numpy.concatenate(parts)))
        self._writer.write_table(pyarrow.Table.from_arrays(arrays, schema=self._writer.schema))
        self._length -= len(counts)


class StoredTrace(Trace):
    """A trace in a file: nothing is read before it is asked for, and never more than a block at once.

    Raises `FileError` for what is no file, `MeasurementError` for a file that is no trace.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        why = why_not_regular(path)
        if why:
            raise FileError(path, f"{why}, and so not a current trace", help="name the file of a trace")
        try:
            with pyarrow.parquet.ParquetFile(path) as file:
                metadata = file.metadata
                info = json.loads(metadata.metadata[_KEY])
                self._names = frozenset(file.schema_arrow.names)
        except (OSError, pyarrow.ArrowException, KeyError, TypeError, ValueError) as error:
            raise MeasurementError(
                f"{path}: not a current trace: {error}",
                help="a trace is complete only without .partial at its end",
            ) from error
        super().__init__(TraceInfo(**info))
        sizes = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
        self._starts = numpy.concatenate([[0], numpy.cumsum(sizes, dtype=numpy.int64)])

    def __len__(self) -> int:
        return int(self._starts[-1])

    def _blocks(self, first: int, last: int) -> Iterator[Block]:
        low = int(numpy.searchsorted(self._starts, first, side="right")) - 1
        high = int(numpy.searchsorted(self._starts, last, side="left"))
        with pyarrow.parquet.ParquetFile(self.path, pre_buffer=False) as file:
            for number in range(low, high):
                table = file.read_row_group(number, use_threads=False)
                yield Block(
                    int(self._starts[number]), *(self._column(table, n) for n in ("current", *_NAMES))
                )

    def _column(self, table: Any, name: str) -> Any:
        if name not in self._names:
            return None
        column = table.column(name)
        if column.null_count:
            column = column.fill_null(int(LOST))
        return column.to_numpy()


_NAMES = tuple(name for name, _ in _COLUMNS)
