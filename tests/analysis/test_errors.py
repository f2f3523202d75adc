import subprocess
import sys
from pathlib import Path

import pytest

from analysis.claims import ClaimsError, load_claims
from analysis.errors import AnalysisError
from analysis.tables import TableError, load_tables


def test_a_broken_file_of_either_kind_is_an_error_of_analysis(tmp_path: Path) -> None:
    (tmp_path / "claims.yaml").write_text("not a list")
    with pytest.raises(AnalysisError, match="not a list of claims") as claims:
        load_claims(tmp_path / "claims.yaml")
    with pytest.raises(AnalysisError, match="does not exist") as tables:
        load_tables(tmp_path)
    assert (claims.type, tables.type) == (ClaimsError, TableError)


@pytest.mark.parametrize("module", ["analysis.errors", "analysis.files", "analysis.wording"])
def test_what_the_harness_imports_at_once_loads_no_library(module: str) -> None:
    program = f"import sys; import {module}; print(sorted({{'numpy', 'pandas', 'matplotlib'}} & set(sys.modules)))"
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", program]
    assert subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout == "[]\n"
