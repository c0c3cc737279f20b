"""The query language: what people paste from PubMed, and whatever else they type."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pubvec.errors import InputError
from pubvec.retrieval.constraints import (
    And,
    Constraint,
    Flag,
    Not,
    Or,
    Phrase,
    Pmids,
    Term,
    Word,
    Years,
    all_of,
)
from pubvec.retrieval.grammar import MAX_CHARACTERS, ParsedQuery, parse_query


def words(*texts: str, field: str = "all") -> Constraint | None:
    return all_of(*(Word(field, text) for text in texts))


@pytest.mark.parametrize(
    "question",
    [
        "does aspirin prevent a second stroke?",
        "What is the role of IL-6 (interleukin 6) in COVID-19?",
        "[18F]FDG PET and [11C]-raclopride",
        "benzo[a]pyrene, 2-[4-(2-chlorophenyl)]phenol and poly[I:C]",
        "p53-/- mice: 5% more :) than $ { } ~ ^ \\ / wild-type's",
        "and or not: lower case are words",
        "ANDROGENS, ORAL and NOTCH are no operators",
        "a lone ) or ( is text",
    ],
)
def test_a_question_stays_as_it_is(question):
    assert parse_query(f"  {question} \n") == ParsedQuery(question, None)


PHRASE = Phrase("all", "lactic acidosis")


@pytest.mark.parametrize(
    ("query", "text", "constraint"),
    [
        ('"lactic  acidosis"', "lactic acidosis", PHRASE),
        ("“lactic acidosis” with metformin", "lactic acidosis with metformin", PHRASE),
        ('metformin "case reports"[pt]', "metformin", Term("type", "case reports")),
        ("metformin case reports[pt]", "metformin", Term("type", "case reports")),
        (
            'metformin "lactic acidosis" NOT rats',
            "metformin lactic acidosis",
            And((PHRASE, Not(Word("all", "rats")))),
        ),
        ("does it help NOT (rats mice)", "does it help", Not(words("rats", "mice"))),
        ("NOT rats", "", Not(Word("all", "rats"))),
        ("aspirin AND stroke", "aspirin stroke", words("aspirin", "stroke")),
        (
            "heart attack OR stroke",
            "heart attack stroke",
            Or((words("heart", "attack"), Word("all", "stroke"))),
        ),
        ("a OR b AND c", "a b c", And((Or((Word("all", "a"), Word("all", "b"))), Word("all", "c")))),
        ("a OR (b AND c)", "a b c", Or((Word("all", "a"), words("b", "c")))),
        ("a AND NOT b", "a", And((Word("all", "a"), Not(Word("all", "b"))))),
        ("heart attack[ti]", "heart attack", words("heart", "attack", field="title")),
        ('"heart attack"[TIAB]', "heart attack", Phrase("text", "heart attack")),
        ('"heart attack"[Title]', "heart attack", Phrase("title", "heart attack")),
        ("metform*[ab]", "metform", Word("abstract", "metform", is_prefix=True)),
        (
            "Diabetes Mellitus, Type 2[mh]",
            "Diabetes Mellitus, Type 2",
            Term("mesh", "Diabetes Mellitus, Type 2"),
        ),
        ('"Stroke"[MeSH Terms:noexp]', "Stroke", Term("mesh", "Stroke", is_exploded=False)),
        ("Stroke[majr]", "Stroke", Term("major_mesh", "Stroke")),
        (
            "O'Brien J[au] N Engl J Med[ta]",
            "",
            And((Term("author", "O'Brien J"), Term("journal", "N Engl J Med"))),
        ),
        ("fre[la]", "", Term("language", "fre")),
        ("asthma 2015[dp]", "asthma", Years(2015, 2015)),
        ('"asthma" 2015:2020[dp]', "asthma", And((Phrase("all", "asthma"), Years(2015, 2020)))),
        ("2015:3000[dp]", "", Years(2015, None)),
        ('"2015/01/01"[Date - Publication] : "2020/12/31"[Date - Publication]', "", Years(2015, 2020)),
        ("2015[dp] : 2020[dp]", "", Years(2015, 2020)),
        ("12345[uid]", "", Pmids(frozenset([12345]))),
        ("1 2,3[pmid]", "", Pmids(frozenset([1, 2, 3]))),
        ("hasabstract AND x", "x", And((Flag("has_abstract"), Word("all", "x")))),
        ("what helps hasabstract", "what helps", Flag("has_abstract")),
    ],
)
def test_queries(query, text, constraint):
    assert parse_query(query)[:2] == (text, constraint)


def test_a_search_as_a_systematic_reviewer_pastes_it():
    query = (
        '("aspirin"[MeSH Terms] OR "aspirin"[Title/Abstract] OR acetylsalicyl*[tiab]) AND '
        '(stroke[mh:noexp] OR "brain infarct"[ti]) NOT (animals[mh] NOT humans[mh]) '
        'AND ("2000/01/01"[dp] : "3000/12/31"[dp])'
    )
    drug = Or(
        (Term("mesh", "aspirin"), Phrase("text", "aspirin"), Word("text", "acetylsalicyl", is_prefix=True))
    )
    disease = Or((Term("mesh", "stroke", is_exploded=False), Phrase("title", "brain infarct")))
    animals = And((Term("mesh", "animals"), Not(Term("mesh", "humans"))))
    found = parse_query(query)
    assert found.constraint == And((And((drug, disease)), Not(animals), Years(2000, None)))
    assert found.text == "aspirin aspirin acetylsalicyl stroke brain infarct"


@pytest.mark.parametrize(
    ("query", "complaint"),
    [
        ("   ", "the query is empty"),
        ('say "what', "quotation mark at column 5 is never closed"),
        ("(a AND b", r"\( at column 1 is never closed"),
        ("a) AND b", r"\) at column 2 closes nothing"),
        ("a AND", "AND at column 3 joins nothing"),
        ("a AND OR b", "OR at column 7 joins nothing"),
        ("OR b", "OR at column 1 joins nothing"),
        ("a AND ()", "joins nothing"),
        ("a NOT", "NOT at column 3 joins nothing"),
        ('a AND " "', "phrase at column 7 holds no word"),
        ("[ti] a", r"\[ti\] at column 1 follows no word"),
        ("- [ti] a", r"\[ti\] at column 3 follows no word"),
        ("stroke[xx]", r"unknown field \[xx\] at column 7: fields are \[ti\]"),
        ("abc*[ti]", r"abc\* at column 1: \* stands at the end of a word, after 4 letters"),
        ("a AND strok*e", r"strok\*e at column 7"),
        ("2015/13[dp]", "2015/13 at column 1 is no date: month"),
        ("2015/02/30[dp]", "2015/02/30 at column 1 is no date: day"),
        ("2015/05:2015/04[dp]", "ends before it begins"),
        ("May[dp]", "May at column 1 is no date"),
        ("2020:2015[dp]", "ends before it begins"),
        ("12a[pmid]", "12a at column 1 is no PMID"),
        ("(" * 60 + "a" + ")" * 60 + " AND b", "nested more than 50 deep"),
        ("NOT " * 500 + "a", "nested more than 50 deep"),
        ("a" * (MAX_CHARACTERS + 1), "10,001 characters: 10,000 are the most"),
    ],
)
def test_errors_point_at_the_column(query, complaint):
    with pytest.raises(InputError, match=complaint):
        parse_query(query)


PIECES = st.sampled_from(
    [
        *'()"“[]*:',
        "AND",
        "OR",
        "NOT",
        "[ti]",
        "[dp]",
        "[mh:noexp]",
        "hasabstract",
        "2015",
        "aspirin",
        "title:x^2",
        "'; DROP TABLE x --",
    ]
)


@given(
    st.lists(PIECES | st.text(max_size=8), max_size=15).map(" ".join)
    | st.lists(PIECES, max_size=15).map("".join)
)
@example("\x00 AND \ud800")
def test_whatever_is_typed_is_parsed_or_refused(query):
    try:
        parsed = parse_query(query)
    except InputError as error:
        assert str(error)
    else:
        assert parsed.text or parsed.constraint is not None


@given(st.text(min_size=1).filter(str.strip))
def test_without_quotes_operators_and_fields_all_is_a_question(text):
    for sign in '"“”„[*#':
        text = text.replace(sign, " ")
    if not text.strip() or {"AND", "OR", "NOT", "HASABSTRACT"} & {
        word.strip("()").upper() for word in text.split()
    }:
        return
    assert parse_query(text) == ParsedQuery(" ".join(text.split()), None)


LEAVES = st.one_of(
    st.builds(
        Word,
        st.sampled_from(["title", "abstract", "text"]),
        st.sampled_from(["aspirin", "stroke"]),
        st.booleans(),
    ),
    st.builds(Phrase, st.sampled_from(["title", "text"]), st.sampled_from(["heart attack", "or not"])),
    st.builds(
        Term, st.sampled_from(["mesh", "major_mesh"]), st.sampled_from(["A, B", "Stroke"]), st.booleans()
    ),
    st.builds(Years, st.integers(1900, 1999), st.integers(2000, 2030) | st.none()),
    st.just(Flag("has_abstract")),
)
TREES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(lambda a, b: And((a, b)), inner, inner),
        st.builds(lambda a, b: Or((a, b)), inner, inner),
        st.builds(Not, inner),
    ),
    max_leaves=8,
)
TAGS = {"title": "ti", "abstract": "ab", "text": "tiab", "mesh": "mh", "major_mesh": "majr"}


def render(tree: Constraint) -> str:
    match tree:
        case And((left, right)):
            return f"({render(left)} AND {render(right)})"
        case Or((left, right)):
            return f"({render(left)} OR {render(right)})"
        case Not(part):
            return f"(NOT {render(part)})"
        case Word(field, text, is_prefix):
            return f"{text}{'*' * is_prefix}[{TAGS[field]}]"
        case Phrase(field, text):
            return f'"{text}"[{TAGS[field]}]'
        case Term(field, value, is_exploded):
            return f"{value}[{TAGS[field]}{'' if is_exploded else ':noexp'}]"
        case Years(first, last):
            return f"{first}:{last or 3000}[dp]"
        case Flag():
            return "hasabstract"
    raise AssertionError(tree)


def flat(tree: Constraint | None) -> Constraint | None:
    """Nested joins of one kind are one join."""
    match tree:
        case And(parts) | Or(parts):
            kind = type(tree)
            inner = [flat(part) for part in parts]
            return kind(
                tuple(p for part in inner for p in (part.parts if isinstance(part, kind) else (part,)))
            )
        case Not(part):
            return Not(flat(part))
    return tree


@given(TREES)
def test_a_tree_that_is_written_down_is_read_again(tree):
    assert flat(parse_query(render(tree)).constraint) == flat(tree)
