"""An interceptor: keys in one form of Unicode, so that a name has one partition however it was typed.

componentize-py makes the modules of the contract, with WIT's names in snake_case; a result's error is raised as `Err`.
"""

import unicodedata

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports.interceptor import Acknowledgements, ColumnEdit, Edits, Wants
from wit_world.imports import host
from wit_world.imports.types import Batch, Column, Fields, HeaderColumns, Reads, Refusal

FORMS = ("NFC", "NFD", "NFKC", "NFKD")
# By the code of an acknowledgement; all others failed.
COUNTERS = {0: "records-written", -101: "records-dropped"}

# The instance's state: of the class below there is a new object for every call.
form, header = "NFC", None
counters = {}


class Interceptor(exports.Interceptor):
    # The first call. What is raised is shown to whoever wrote the config file.
    def configure(self, settings: list[tuple[str, str]]) -> Wants:
        global form, header
        for name, value in settings:
            if name == "form" and value in FORMS:
                form = value
            elif name == "form":
                raise Err(f'form = "{value}": must be one of {", ".join(FORMS)}')
            elif name == "header" and value:
                header = value
            elif name == "header":
                raise Err("`header` is empty: leave it out, or name a header")
            else:
                raise Err(f"the setting `{name}` is not known here; known are form, header")
        # Only the keys are copied to this plugin, and of the headers that one. A list of none would ask for all.
        headers = None if header is None else [header]
        return Wants(on_send=Reads(Fields.KEY, headers), changes=Fields.KEY, acknowledgements=True)

    # A batch. It comes and goes in columns: an edit names the records that it changes.
    def on_send(self, records: Batch) -> Edits:
        try:
            return normalized(records)
        except Exception as error:
            # It refuses these records in its own words. What leaves a hook uncaught ends the instance, and without
            # WASI there is no stderr for its text.
            raise Err(f"{type(error).__name__}: {error}") from None

    # What became of the records, up to 1,024 at a time.
    def on_acknowledgement(self, acknowledgements: Acknowledgements) -> None:
        try:
            count(acknowledgements)
        except Exception as error:
            # This hook has no error to return, and what is logged in a call that fails goes to debug.
            host.log(host.Level.ERROR, f"{type(error).__name__}: {error}")

    def close(self) -> None:
        pass


def normalized(records: Batch) -> Edits:
    indexes, new, refused = [], [], []
    names, values = [], []
    counts = [0] * records.count
    # Only of that name. A record that has it went through a plugin as this one before.
    has = records.headers.counts if header else counts
    for index, key in enumerate(entries(records.keys)):
        if key is None or key.isascii():
            continue
        try:
            normal = unicodedata.normalize(form, key.decode()).encode()
        except UnicodeDecodeError as error:
            refused.append(Refusal(index, f"the key is not UTF-8 at byte {error.start}"))
            continue
        if normal == key:
            continue
        indexes.append(index)
        new.append(normal)
        if header and not has[index]:
            counts[index] = 1
            names.append(header.encode())
            values.append(key)
    return Edits(
        topics=None,
        partitions=None,
        timestamps=None,
        # No indexes would mean every record.
        keys=ColumnEdit(indexes, column(new)) if indexes else None,
        values=None,
        removed_headers=[],
        added_headers=HeaderColumns(counts, column(names), column(values)) if names else None,
        tags=[],
        dropped=[],
        refused=refused,
    )


def count(acknowledgements: Acknowledgements) -> None:
    topics, found = acknowledgements.topics, {}
    for index in range(acknowledgements.count):
        topic = topics.names[topics.indexes[index] if topics.indexes else 0]
        name = COUNTERS.get(acknowledgements.errors[index], "records-failed")
        found[name, topic] = found.get((name, topic), 0) + 1
    # A call of the host for all of them: they count only when this call has ended well.
    host.observe([(counter(*series), float(records)) for series, records in found.items()])


def counter(name: str, topic: str) -> int:
    if (name, topic) not in counters:
        counters[name, topic] = host.metric(host.Kind.COUNTER, name, [("topic", topic)])
    return counters[name, topic]


def entries(column: Column):
    """The byte strings of a column, which lie end to end; a length of -1 is null."""
    start = 0
    for length in column.lengths:
        end = start + max(length, 0)
        yield None if length < 0 else column.data[start:end]
        start = end


def column(entries: list[bytes]) -> Column:
    return Column([len(entry) for entry in entries], b"".join(entries))
