"""Closed lists of values in queries: languages, publication types, subheadings, and PubMed's filters and subsets."""

from __future__ import annotations

from collections.abc import Iterable

from pubvec.retrieval.constraints import Constraint, Dates, Flag, Not, Or, Term
from pubvec.retrieval.folding import fold_title

LANGUAGES: dict[str, tuple[str, ...]] = {
    "afr": ("afrikaans", "af"),
    "alb": ("albanian", "sq", "sqi"),
    "amh": ("amharic", "am"),
    "ara": ("arabic", "ar"),
    "arm": ("armenian", "hy", "hye"),
    "aze": ("azerbaijani", "az"),
    "ben": ("bengali", "bn"),
    "bos": ("bosnian", "bs"),
    "bul": ("bulgarian", "bg"),
    "cat": ("catalan", "ca"),
    "chi": ("chinese", "zh", "zho"),
    "cze": ("czech", "cs", "ces"),
    "dan": ("danish", "da"),
    "dut": ("dutch", "nl", "nld"),
    "eng": ("english", "en"),
    "epo": ("esperanto", "eo"),
    "est": ("estonian", "et"),
    "fin": ("finnish", "fi"),
    "fre": ("french", "fr", "fra"),
    "geo": ("georgian", "ka", "kat"),
    "ger": ("german", "de", "deu"),
    "gla": ("scottish gaelic", "gd"),
    "gre": ("greek", "greek modern", "el", "ell"),
    "heb": ("hebrew", "he"),
    "hin": ("hindi", "hi"),
    "hrv": ("croatian", "hr", "scr"),
    "hun": ("hungarian", "hu"),
    "ice": ("icelandic", "is", "isl"),
    "ind": ("indonesian", "id"),
    "ita": ("italian", "it"),
    "jpn": ("japanese", "ja"),
    "kin": ("kinyarwanda", "rw"),
    "kor": ("korean", "ko"),
    "lat": ("latin", "la"),
    "lav": ("latvian", "lv"),
    "lit": ("lithuanian", "lt"),
    "mac": ("macedonian", "mk", "mkd"),
    "mal": ("malayalam", "ml"),
    "mao": ("maori", "mi", "mri"),
    "may": ("malay", "ms", "msa"),
    "mul": ("multiple languages", "multilingual"),
    "nor": ("norwegian", "no"),
    "per": ("persian", "farsi", "fa", "fas"),
    "pol": ("polish", "pl"),
    "por": ("portuguese", "pt"),
    "pus": ("pushto", "pashto", "ps"),
    "rum": ("romanian", "ro", "ron"),
    "rus": ("russian", "ru"),
    "san": ("sanskrit", "sa"),
    "slo": ("slovak", "sk", "slk"),
    "slv": ("slovenian", "sl"),
    "spa": ("spanish", "es"),
    "srp": ("serbian", "sr", "scc"),
    "swe": ("swedish", "sv"),
    "tha": ("thai", "th"),
    "tur": ("turkish", "tr"),
    "ukr": ("ukrainian", "uk"),
    "und": ("undetermined",),
    "urd": ("urdu", "ur"),
    "vie": ("vietnamese", "vi"),
    "wel": ("welsh", "cy", "cym"),
}
"""NLM's three-letter code → the name, the code of ISO 639-1 and the terminological code of the language."""
_LANGUAGE_CODES = {name: code for code, names in LANGUAGES.items() for name in (code, *names)}
_OLD_CODES = {"hrv": ("scr",), "srp": ("scc",)}
"""Codes that older records have for the same language."""

_TYPE_NAMES = (
    "Adaptive Clinical Trial",
    "Address",
    "Autobiography",
    "Bibliography",
    "Biography",
    "Case Reports",
    "Classical Article",
    "Clinical Conference",
    "Clinical Study",
    "Clinical Trial",
    "Clinical Trial Protocol",
    "Clinical Trial, Phase I",
    "Clinical Trial, Phase II",
    "Clinical Trial, Phase III",
    "Clinical Trial, Phase IV",
    "Clinical Trial, Veterinary",
    "Comment",
    "Comparative Study",
    "Congress",
    "Consensus Development Conference",
    "Consensus Development Conference, NIH",
    "Controlled Clinical Trial",
    "Corrected and Republished Article",
    "Dataset",
    "Dictionary",
    "Directory",
    "Duplicate Publication",
    "Editorial",
    "English Abstract",
    "Equivalence Trial",
    "Evaluation Study",
    "Expression of Concern",
    "Festschrift",
    "Government Publication",
    "Guideline",
    "Historical Article",
    "Interactive Tutorial",
    "Interview",
    "Introductory Journal Article",
    "Journal Article",
    "Lecture",
    "Legal Case",
    "Legislation",
    "Letter",
    "Meta-Analysis",
    "Multicenter Study",
    "Network Meta-Analysis",
    "News",
    "Newspaper Article",
    "Observational Study",
    "Observational Study, Veterinary",
    "Overall",
    "Patient Education Handout",
    "Periodical Index",
    "Personal Narrative",
    "Portrait",
    "Practice Guideline",
    "Pragmatic Clinical Trial",
    "Preprint",
    "Published Erratum",
    "Randomized Controlled Trial",
    "Randomized Controlled Trial, Veterinary",
    "Research Support, N.I.H., Extramural",
    "Research Support, N.I.H., Intramural",
    "Research Support, Non-U.S. Gov't",
    "Research Support, U.S. Gov't, Non-P.H.S.",
    "Research Support, U.S. Gov't, P.H.S.",
    "Retracted Publication",
    "Retraction of Publication",
    "Retraction Notice",
    "Review",
    "Scientific Integrity Review",
    "Scoping Review",
    "Systematic Review",
    "Technical Report",
    "Twin Study",
    "Validation Study",
    "Video-Audio Media",
    "Webcast",
)
_TYPE_SYNONYMS = {
    "rct": "randomized controlled trial",
    "rcts": "randomized controlled trial",
    "randomised controlled trial": "randomized controlled trial",
    "randomised controlled trials": "randomized controlled trial",
    "randomized trial": "randomized controlled trial",
    "randomised trial": "randomized controlled trial",
    "randomized clinical trial": "randomized controlled trial",
    "randomised clinical trial": "randomized controlled trial",
    "multicentre study": "multicenter study",
    "metaanalysis": "meta analysis",
    "meta analyses": "meta analysis",
    "metaanalyses": "meta analysis",
    "case study": "case reports",
    "case studies": "case reports",
    "erratum": "published erratum",
    "guidelines": "guideline",
    "editorials": "editorial",
    "phase 1 clinical trial": "clinical trial phase i",
    "phase 2 clinical trial": "clinical trial phase ii",
    "phase 3 clinical trial": "clinical trial phase iii",
    "phase 4 clinical trial": "clinical trial phase iv",
    "clinical trial phase 1": "clinical trial phase i",
    "clinical trial phase 2": "clinical trial phase ii",
    "clinical trial phase 3": "clinical trial phase iii",
    "clinical trial phase 4": "clinical trial phase iv",
    "retracted": "retracted publication",
    "research support": "",
}
_TYPES_BELOW = {
    "randomized controlled trial": ("equivalence trial", "pragmatic clinical trial"),
    "controlled clinical trial": ("randomized controlled trial",),
    "clinical trial": (
        "adaptive clinical trial",
        "clinical trial phase i",
        "clinical trial phase ii",
        "clinical trial phase iii",
        "clinical trial phase iv",
        "controlled clinical trial",
        "pragmatic clinical trial",
    ),
    "guideline": ("practice guideline",),
    "meta analysis": ("network meta analysis",),
    "consensus development conference": ("consensus development conference nih",),
}
"""Publication types that MeSH's tree of publication characteristics puts below another one."""

SUBHEADINGS = {
    "ab": "abnormalities",
    "ad": "administration & dosage",
    "ae": "adverse effects",
    "ag": "agonists",
    "aa": "analogs & derivatives",
    "an": "analysis",
    "ah": "anatomy & histology",
    "ai": "antagonists & inhibitors",
    "bi": "biosynthesis",
    "bs": "blood supply",
    "bl": "blood",
    "cf": "cerebrospinal fluid",
    "cs": "chemical synthesis",
    "ci": "chemically induced",
    "ch": "chemistry",
    "cl": "classification",
    "co": "complications",
    "cn": "congenital",
    "cy": "cytology",
    "df": "deficiency",
    "di": "diagnosis",
    "dg": "diagnostic imaging",
    "dh": "diet therapy",
    "de": "drug effects",
    "dt": "drug therapy",
    "ec": "economics",
    "ed": "education",
    "em": "embryology",
    "en": "enzymology",
    "ep": "epidemiology",
    "es": "ethics",
    "eh": "ethnology",
    "et": "etiology",
    "gd": "growth & development",
    "ge": "genetics",
    "hi": "history",
    "im": "immunology",
    "in": "injuries",
    "ir": "innervation",
    "is": "instrumentation",
    "ip": "isolation & purification",
    "lj": "legislation & jurisprudence",
    "me": "metabolism",
    "mt": "methods",
    "mi": "microbiology",
    "mo": "mortality",
    "nu": "nursing",
    "og": "organization & administration",
    "ps": "parasitology",
    "pa": "pathology",
    "py": "pathogenicity",
    "pk": "pharmacokinetics",
    "pd": "pharmacology",
    "ph": "physiology",
    "pp": "physiopathology",
    "po": "poisoning",
    "pc": "prevention & control",
    "px": "psychology",
    "re": "radiation effects",
    "rt": "radiotherapy",
    "rh": "rehabilitation",
    "st": "standards",
    "sn": "statistics & numerical data",
    "sd": "supply & distribution",
    "su": "surgery",
    "tu": "therapeutic use",
    "th": "therapy",
    "to": "toxicity",
    "td": "trends",
    "tm": "transmission",
    "tr": "transplantation",
    "us": "ultrastructure",
    "ur": "urine",
    "ut": "utilization",
    "ve": "veterinary",
    "vi": "virology",
}
"""MeSH qualifiers by NLM's two-letter abbreviations."""

_HEADINGS_OF_FILTER = {
    "humans": ("Humans",),
    "human": ("Humans",),
    "animals": ("Animals",),
    "otheranimals": ("Animals",),
    "male": ("Male",),
    "female": ("Female",),
    "newborn": ("Infant, Newborn",),
    "infant": ("Infant",),
    "allinfant": ("Infant", "Infant, Newborn"),
    "preschoolchild": ("Child, Preschool",),
    "child": ("Child",),
    "adolescent": ("Adolescent",),
    "allchild": ("Infant", "Infant, Newborn", "Child, Preschool", "Child", "Adolescent"),
    "youngadult": ("Young Adult",),
    "adult": ("Adult",),
    "middleaged": ("Middle Aged",),
    "middleagedaged": ("Middle Aged", "Aged"),
    "aged": ("Aged", "Aged, 80 and over"),
    "80andover": ("Aged, 80 and over",),
    "alladult": ("Adult", "Young Adult", "Middle Aged", "Aged", "Aged, 80 and over"),
}
_STATUS_OF_SUBSET = {
    "medline": ("medline",),
    "pubmednotmedline": ("pubmed-not-medline",),
    "inprocess": ("in-process", "in-data-review"),
    "publisher": ("publisher",),
    "oldmedline": ("oldmedline",),
}
_REFUSED_FILTERS = {
    "freefulltext": "pubmed pmc[sb] finds articles with a full text in PubMed Central",
    "loattrfreefulltext": "pubmed pmc[sb] finds articles with a full text in PubMed Central",
    "ffrft": "pubmed pmc[sb] finds articles with a full text in PubMed Central",
    "fulltext": "pubmed pmc[sb] finds articles with a full text in PubMed Central",
    "loattrfulltext": "pubmed pmc[sb] finds articles with a full text in PubMed Central",
    "fft": "pubmed pmc[sb] finds articles with a full text in PubMed Central",
    "systematic": "systematic review[pt] finds what is indexed as a systematic review",
    "data": "[si] finds accession numbers of data banks",
    "booksdocs": "[book] finds words in the titles of books",
    "cancer": "neoplasms[mh] finds articles by their headings",
    "aids": "acquired immunodeficiency syndrome[mh] finds articles by their headings",
}


def language_codes(value: str) -> tuple[str, ...]:
    """Return the codes that records have for a language given by name or code; an unknown value stands for itself."""
    code = _LANGUAGE_CODES.get(fold_title(value), fold_title(value))
    return (code, *_OLD_CODES.get(code, ()))


def language_name(code: str) -> str:
    """Return the English name of a language by its code; an unknown code stands for itself."""
    names = LANGUAGES.get(code)
    return code if names is None else names[0].title()


def is_language(value: str) -> bool:
    """Whether `value` is a language's name or code."""
    return fold_title(value) in _LANGUAGE_CODES


def type_names(value: str, *, is_exploded: bool = True) -> tuple[str, ...]:
    """Return the folded publication types that `value` means; an unknown value stands for itself.

    Common words and plurals are known. With `is_exploded` the types below it are included, as PubMed does: a randomized
    controlled trial is a clinical trial.
    """
    name = _type_name(value)
    found = dict.fromkeys([name])
    if is_exploded:
        for known in [name]:
            waiting = list(_TYPES_BELOW.get(known, ()))
            while waiting:
                below = waiting.pop()
                if below not in found:
                    found[below] = None
                    waiting += _TYPES_BELOW.get(below, ())
    return tuple(found)


def is_type(value: str) -> bool:
    """Whether `value` is a publication type, or a common word for one."""
    return _type_name(value) in _KNOWN_TYPES


def subheading_name(value: str) -> str:
    """Return the folded name of a MeSH qualifier given by name or by its abbreviation."""
    folded = fold_title(value.replace("&", " "))
    return fold_title(SUBHEADINGS.get(folded, folded).replace("&", " and ").replace(" and ", " "))


def filter_constraint(value: str, this_year: int) -> Constraint | None:
    """Return what PubMed's filter or subset `value` asks for; None: it is none that the index can answer."""
    name = fold_title(value).replace(" ", "")
    if name in _HEADINGS_OF_FILTER:
        return _one_of(Term("mesh", heading, is_exploded=False) for heading in _HEADINGS_OF_FILTER[name])
    if name in _STATUS_OF_SUBSET:
        return _one_of(Term("status", status) for status in _STATUS_OF_SUBSET[name])
    if name in ("hasabstract", "fha", "abstract", "simplesearchsabstract"):
        return Flag("has_abstract")
    if name in ("pubmedpmc", "pmc", "pubmedpmclocal"):
        return Term("pmc_id", "pmc*")
    if name.startswith("y_") or (name.startswith("y") and name[1:].isdigit()):
        years = int(name.lstrip("y_") or 0)
        return Dates("published", (this_year - years) * 10000 + 1, None) if years else None
    if name == "excludepreprints":
        return Not(Term("type", "preprint"))
    if name in _TYPES_WITHOUT_SPACES:
        return Term("type", _TYPES_WITHOUT_SPACES[name])
    if name in _LANGUAGE_CODES and len(name) > 3:
        return Term("language", name)
    return None


def is_filter(value: str) -> bool:
    """Whether PubMed has a filter or a subset of this name that the index can answer or refuse by name."""
    name = fold_title(value).replace(" ", "")
    return name in _REFUSED_FILTERS or filter_constraint(value, 2000) is not None


def why_refused(value: str) -> str | None:
    """Return the way out for a filter of PubMed that the index cannot answer."""
    return _REFUSED_FILTERS.get(fold_title(value).replace(" ", ""))


def _one_of(parts: Iterable[Constraint]) -> Constraint:
    found = tuple(parts)
    return found[0] if len(found) == 1 else Or(found)


def _type_name(value: str) -> str:
    name = fold_title(value)
    name = _TYPE_SYNONYMS.get(name, name) or name
    if name in _KNOWN_TYPES:
        return name
    for other in (name.removesuffix("s"), f"{name}s", name.replace("studies", "study")):
        if other in _KNOWN_TYPES:
            return other
    return name


_KNOWN_TYPES = frozenset(fold_title(name) for name in _TYPE_NAMES)
_TYPES_WITHOUT_SPACES = {name.replace(" ", ""): name for name in _KNOWN_TYPES}
