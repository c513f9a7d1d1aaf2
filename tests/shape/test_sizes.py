"""How long a file and a function may be: past these measures one name no longer fits them."""

from tests.shape.tree import ROOT, Sized, functions, modules

FILE_LINES = 400
FUNCTION_LINES = 60
MOST_FUNCTION_LINES = 25  # what nine of ten functions keep to


def test_no_source_file_is_longer_than_400_lines() -> None:
    files = [Sized(str(m.relative_to(ROOT)), len(m.read_text().splitlines())) for m in modules()]
    assert [str(f) for f in files if f.lines > FILE_LINES] == []


def test_no_function_is_longer_than_60_lines() -> None:
    every = [function for module in modules() for function in functions(module)]
    assert [str(f) for f in every if f.lines > FUNCTION_LINES] == []


def test_nine_of_ten_functions_have_at_most_25_lines() -> None:
    lengths = sorted(function.lines for module in modules() for function in functions(module))
    assert lengths[len(lengths) * 9 // 10] <= MOST_FUNCTION_LINES
