"""Follow PubMed: NLM's next XML files → articles → the next version of an index."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from pubvec.corpus import ParseConfig, parse
from pubvec.engine import Engine
from pubvec.errors import CompleteError, PubvecError
from pubvec.files import fingerprint, read_manifest, remove

if TYPE_CHECKING:
    from pubvec.retrieval import Version


def update(
    index: Path | str,
    files: Sequence[str],
    *,
    config: ParseConfig | None = None,
    is_baseline: bool = False,
    allow_gaps: bool = False,
    engine: Engine | None = None,
    model: str | None = None,
    trust_index: bool = False,
) -> Version:
    """Parse `files` and apply them to `index`, on `engine`; a killed run is resumed by the same call.

    See `retrieval.updating.update`. An update that is refused leaves nothing behind in the index.

    Raises:
        InputError: a file is damaged, or does not follow those in the index; nothing is applied then.
        OutputError: another process writes the index.
    """
    from pubvec.retrieval import update as apply

    read_manifest(index, made_by="index")
    together = "".join(fingerprint(file) for file in files)
    articles = Path(index) / f"incoming-{hashlib.sha256(together.encode()).hexdigest()[:16]}"

    def parse_files() -> Path:  # nobody else has the folder: the index is held
        held.append(articles)
        with suppress(CompleteError):  # a killed run had parsed them
            parse(files, articles, config, engine=engine)
        return articles

    held: list[Path] = []
    try:
        version = apply(
            index,
            parse_files,
            is_baseline=is_baseline,
            allow_gaps=allow_gaps,
            engine=engine,
            model=model,
            trust_index=trust_index,
        )
    except PubvecError:  # the update is refused, so what was parsed is of no use
        for folder in held:
            remove(folder)
            remove(folder.with_name(f"{folder.name}.partial"))
        raise
    remove(articles)
    return version
