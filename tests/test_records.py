"""Records survive the way through Arrow."""

from __future__ import annotations

import datetime

import pyarrow as pa
import pytest

from makers_records import make_article
from pubvec.records import Article, Author, MeshHeading, MeshQualifier, article_text
from pubvec.tables import dict_of, record_of, rows_of, schema_of, table_of


def test_round_trip_of_nested_records():
    article = make_article(
        authors=[Author("Curie", "Marie", "M", None, None, None, ["Paris", "Warsaw"])],
        mesh_headings=[MeshHeading("Radium", "D011883", True, [MeshQualifier("history", "Q000266", False)])],
        date_revised=datetime.date(1911, 12, 10),
        year=None,
    )
    table = table_of(Article, [article, article])
    assert rows_of(Article, table) == [article, article]


def test_records_of_older_tables_and_dictionaries_lack_newer_fields():
    article = make_article(7)
    table = table_of(Article, [article, article]).drop_columns(["editors", "pii"])
    assert rows_of(Article, table) == [article, article]
    fields = dict_of(article)
    del fields["editors"], fields["pii"]
    assert record_of(Article, fields) == article
    for name in ("pmid", "title"):  # no record is without them
        with pytest.raises(KeyError, match=name):
            rows_of(Article, table.drop_columns([name]))
        with pytest.raises(KeyError, match=name):
            record_of(Article, {key: value for key, value in fields.items() if key != name})


def test_empty_table_has_all_columns():
    assert table_of(Article, []).schema == schema_of(Article)


def test_columns_of_nested_types():
    schema = schema_of(Article)
    assert schema.field("pmid").type == pa.int32()
    assert pa.types.is_struct(schema.field("journal").type)
    assert schema.field("mesh_headings").type.value_type.field("qualifiers").type.value_type.field("ui")


def test_article_text():
    assert article_text("Title.", "Abstract.") == "Title. Abstract."
    assert article_text("Title.", None) == "Title."


def test_columns_are_as_pyarrow_makes_them():
    articles = [
        make_article(
            pmid, title=title, abstract=abstract, copyright=abstract, authors=authors, date_revised=date
        )
        for pmid, title, abstract, authors, date in [
            (1, "", None, [], None),
            (2, "é\u2009α", "", [Author("A", None, None, None, None, None, [])], datetime.date(1969, 12, 31)),
            (3, "x" * 999, "b", [Author(None, "", None, None, "C", None, ["", "D"])] * 9, datetime.date.max),
        ]
    ]
    table = table_of(Article, articles)
    table.validate(full=True)
    for name, field in zip(Article._fields, schema_of(Article), strict=True):
        assert (
            table[name].combine_chunks().equals(pa.array([getattr(a, name) for a in articles], field.type))
        ), name
